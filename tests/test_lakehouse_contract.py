"""What every engine promises, on real tables."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import partial
from pathlib import Path

import duckdb
import polars as pl
import pytest
from arro3.core import DataType, Field, Schema
from deltalake import DeltaTable, write_deltalake

from spectra_logging.errors import (
    ConfigurationError,
    LakehouseError,
    RowsRejectedError,
    SchemaConflictError,
    TableNotFoundError,
    TableUnavailableError,
)
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.arrow import read_rows as arrow_rows
from spectra_logging.lakehouse.base import Commit, Lakehouse, TableChange, UpkeepReport
from spectra_logging.lakehouse.delta_schema import columns_of
from spectra_logging.parallel import call_all
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, TableSpec
from tests.lakehouses import (
    EVERY_TYPE,
    FULL_ROW,
    JSON_ROW,
    NULLS,
    UTC,
    lines,
    race,
    spec_of,
    transaction,
)
from tests.tables import read_rows, row_count

SMALL = spec_of(("n", "long", False), ("text", "string", True))


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(tmp_path / "Tables" / "log")


def numbers(lakehouse: Lakehouse, table: str) -> list[int]:
    return [row[0] for row in lakehouse.query("SELECT n FROM t ORDER BY n", {"t": table}).rows]


class TestWithoutATable:
    def test_a_place_without_a_table_has_none(self, lakehouse: Lakehouse, table: str) -> None:
        """An empty folder and a missing one hold no table."""
        assert not lakehouse.exists(table)
        Path(table).mkdir(parents=True)
        assert not lakehouse.exists(table)

    def test_what_needs_a_table_says_there_is_none(self, lakehouse: Lakehouse, table: str) -> None:
        """Reading from and appending to a missing table names the table that is missing."""
        for use in (
            lambda: lakehouse.schema(table),
            lambda: lakehouse.version(table),
            lambda: lakehouse.append(table, lines(), SMALL, transaction=transaction(1)),
            lambda: lakehouse.transaction_version(table, "journal-1"),
            lambda: lakehouse.query("SELECT 1 FROM t", {"t": table}),
            lambda: lakehouse.upkeep(table),
        ):
            with pytest.raises(TableNotFoundError, match="Tables/log"):
                use()


class TestEnsure:
    @pytest.mark.parametrize(
        "spec", [EVERY_TYPE, EVENT_LOG, ACTIVITY_LOG], ids=lambda spec: spec.name
    )
    def test_creates_the_table_as_declared(
        self, lakehouse: Lakehouse, table: str, spec: TableSpec
    ) -> None:
        """Types, order, nullability, comments and properties are the spec's; no new features."""
        assert lakehouse.ensure(table, spec) == TableChange(created=True)
        assert lakehouse.exists(table)
        described = [(c.name, c.type, c.nullable, c.comment) for c in lakehouse.schema(table)]
        assert described == [(c.name, c.type, c.nullable, c.comment) for c in spec.columns]
        foreign = DeltaTable(table)
        assert foreign.protocol()[:2] == (1, 2)
        assert foreign.metadata().description == spec.comment
        assert foreign.metadata().configuration == dict(spec.properties)

    def test_changes_nothing_when_all_is_there(self, lakehouse: Lakehouse, table: str) -> None:
        """A second call commits nothing."""
        lakehouse.ensure(table, EVERY_TYPE)
        assert not lakehouse.ensure(table, EVERY_TYPE)
        assert DeltaTable(table).version() == 0

    def test_adds_missing_columns_as_nullable(self, lakehouse: Lakehouse, table: str) -> None:
        """Rows and extra columns stay, and the added columns may be null as old rows need."""
        lakehouse.ensure(table, spec_of(("n", "long", False), ("extra", "double", True)))
        lakehouse.append(
            table,
            lines({"n": 1, "extra": 0.5}),
            spec_of(("n", "long", False), ("extra", "double", True)),
            transaction=transaction(1),
        )
        wider = spec_of(("n", "long", False), ("tags", "array<string>", False))
        assert lakehouse.ensure(table, wider) == TableChange(added_columns=("tags",))
        assert not lakehouse.ensure(table, wider)
        assert [(c.name, c.nullable) for c in lakehouse.schema(table)] == [
            ("n", False),
            ("extra", True),
            ("tags", True),
        ]
        assert read_rows(table, "n") == [{"n": 1, "extra": 0.5}]
        lakehouse.append(table, lines({"n": 2, "tags": ["a"]}), wider, transaction=transaction(2))
        assert lakehouse.query("SELECT * FROM t ORDER BY n", {"t": table}).rows == (
            (1, 0.5, None),
            (2, None, ["a"]),
        )

    def test_lists_every_conflict_and_changes_nothing(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Type, nullability and spelling that contradict the spec are each named."""
        lakehouse.ensure(
            table,
            spec_of(
                ("n", "integer", False),
                ("strict", "string", False),
                ("Cased", "string", True),
                ("needed", "long", False),
                ("texts", "array<string>", True),
            ),
        )
        spec = spec_of(
            ("n", "long", False),
            ("strict", "string", True),
            ("cased", "string", True),
            ("texts", "array<long>", True),
            ("added", "string", True),
        )
        with pytest.raises(SchemaConflictError) as caught:
            lakehouse.ensure(table, spec)
        assert caught.value.table == table
        assert sorted(caught.value.differences) == [
            "column cased is spelt Cased there",
            "column n is integer there, not long",
            "column needed is never null there, and rows have none here",
            "column strict is never null there, and may be null here",
            "column texts is array<string> there, not array<long>",
        ]
        assert DeltaTable(table).version() == 0
        with pytest.raises(SchemaConflictError):
            lakehouse.append(table, lines({"n": 1}), spec, transaction=transaction(1))

    def test_processes_that_race_to_create_agree(self, table: str) -> None:
        """One creates the table, and the others find it."""
        created = race(
            "answer = lakehouse.ensure(arguments[0], EVERY_TYPE).created", table, processes=3
        )
        assert sorted(created) == [False, False, True]
        assert DeltaTable(table).version() == 0

    def test_processes_that_race_to_add_columns_agree(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Each column is added once, whoever adds it."""
        lakehouse.ensure(table, SMALL)
        source = """
            columns = [("n", "long", False), ("common", "long", True), (f"own{me}", "long", True)]
            answer = lakehouse.ensure(arguments[0], spec_of(*columns)).added_columns
        """
        added = race(source, table, processes=3)
        assert sorted(name for names in added for name in names) == [
            "common",
            "own0",
            "own1",
            "own2",
        ]
        assert sorted(c.name for c in lakehouse.schema(table)) == [
            "common",
            "n",
            "own0",
            "own1",
            "own2",
            "text",
        ]


class TestPlan:
    def test_says_what_ensure_would_do_and_does_nothing(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """For a missing table, a missing column, nothing missing, and a conflict."""
        wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "date", True))
        assert lakehouse.plan(table, SMALL) == TableChange(created=True)
        assert not lakehouse.exists(table)
        lakehouse.ensure(table, SMALL)
        assert not lakehouse.plan(table, SMALL)
        assert lakehouse.plan(table, wider) == TableChange(added_columns=("more",))
        assert lakehouse.version(table) == 0
        with pytest.raises(SchemaConflictError, match="column n is long there, not string"):
            lakehouse.plan(table, spec_of(("n", "string", False)))


class TestAppend:
    def test_every_type_arrives_exactly(self, lakehouse: Lakehouse, table: str) -> None:
        """Values at the edge of each type, and nulls, come back as they were, by two readers."""
        lakehouse.ensure(table, EVERY_TYPE)
        bare = {"moment": 0, "text": ""}
        lakehouse.append(table, lines(JSON_ROW, bare), EVERY_TYPE, transaction=transaction(1))
        empty = {**NULLS, "moment": dt.datetime(1970, 1, 1, tzinfo=UTC), "text": ""}
        found = lakehouse.query("SELECT * FROM t ORDER BY moment", {"t": table})
        assert found.to_dicts() == [empty, FULL_ROW]
        assert found.columns == tuple(c.name for c in EVERY_TYPE.columns)
        assert found.rows[0][0].utcoffset() == dt.timedelta(0)
        assert read_rows(table, "moment") == [empty, FULL_ROW]

    def test_columns_that_only_the_table_has_become_null(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Also when a row has a key by that name: keys without a column in the spec are ignored."""
        lakehouse.ensure(table, SMALL)
        write_deltalake(
            table,
            pl.DataFrame({"n": [1], "text": ["a"], "crc": [7], "tags": [["x"]]}),
            mode="append",
            schema_mode="merge",
        )
        lakehouse.append(table, lines({"n": 2, "tags": 5}), SMALL, transaction=transaction(1))
        assert read_rows(table, "n") == [
            {"n": 1, "text": "a", "crc": 7, "tags": ["x"]},
            {"n": 2, "text": None, "crc": None, "tags": None},
        ]

    def test_columns_are_matched_by_name(self, lakehouse: Lakehouse, table: str) -> None:
        """The table may have them in another order."""
        lakehouse.ensure(table, spec_of(("text", "string", True), ("n", "long", False)))
        lakehouse.append(table, lines({"n": 1, "text": "a"}), SMALL, transaction=transaction(1))
        assert read_rows(table, "n") == [{"text": "a", "n": 1}]

    def test_a_column_added_later_is_never_null_in_new_rows(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """The table has to allow nulls for its old rows; the spec still does not for new ones."""
        lakehouse.ensure(table, SMALL)
        wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", False))
        lakehouse.ensure(table, wider)
        with pytest.raises(RowsRejectedError, match="more"):
            lakehouse.append(table, lines({"n": 1}), wider, transaction=transaction(1))
        lakehouse.append(table, lines({"n": 1, "more": 2}), wider, transaction=transaction(1))
        assert read_rows(table, "n") == [{"n": 1, "text": None, "more": 2}]
        assert DeltaTable(table).version() == 2
        assert [column.nullable for column in lakehouse.schema(table)] == [False, True, True]

    def test_a_transaction_is_written_once(self, lakehouse: Lakehouse, table: str) -> None:
        """Replays of it and of older ones write nothing, also through another instance."""
        lakehouse.ensure(table, SMALL)
        assert lakehouse.transaction_version(table, "journal-1") is None
        first = lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(5))
        assert first == Commit(version=1)
        again = lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(5))
        assert (again.version, again.replayed) == (1, True)
        another = open_lakehouse(lakehouse.engine)
        older = another.append(table, lines({"n": 1}), SMALL, transaction=transaction(4))
        assert older.replayed
        assert another.transaction_version(table, "journal-1") == 5
        assert numbers(lakehouse, table) == [1]

    def test_transactions_of_other_journals_are_their_own(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """The same number under another application id is another transaction."""
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1, "a"))
        lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(1, "b"))
        assert numbers(lakehouse, table) == [1, 2]

    def test_a_transaction_without_rows_counts(self, lakehouse: Lakehouse, table: str) -> None:
        """An empty batch is noted as done."""
        lakehouse.ensure(table, SMALL)
        assert not lakehouse.append(table, b"", SMALL, transaction=transaction(1)).replayed
        assert lakehouse.transaction_version(table, "journal-1") == 1
        assert row_count(table) == 0

    @pytest.mark.parametrize(
        "bad",
        [
            pytest.param(b'{"n": "one"}\n', id="another type"),
            pytest.param(b'{"n": 9223372036854775808}\n', id="out of range"),
            pytest.param(b'{"n": null}\n', id="null in a column that is never null"),
            pytest.param(b'{"text": "a"}\n', id="without a column that is never null"),
            pytest.param(b'{"n": 1, "text": 5}\n', id="number for text"),
            pytest.param(b'{"n": 1, "text": "\xff"}\n', id="no UTF-8"),
            pytest.param(b'{"n": 1, "text": "\\ud800"}\n', id="lone surrogate"),
            pytest.param(b'{"n": 1\n', id="cut off"),
            pytest.param(b"\0\0\0\0\n", id="NULs"),
            pytest.param(b'{"n": "\\u0000"}\n', id="NUL in what the error would quote"),
        ],
    )
    def test_a_row_that_does_not_fit_rejects_its_batch(
        self, lakehouse: Lakehouse, table: str, bad: bytes
    ) -> None:
        """Nothing of the batch is written, nor its transaction; the good rows may come again."""
        lakehouse.ensure(table, SMALL)
        good = lines({"n": 1, "text": "a"})
        with pytest.raises(RowsRejectedError):
            lakehouse.append(table, good + bad, SMALL, transaction=transaction(1))
        assert DeltaTable(table).version() == 0
        assert not lakehouse.append(table, good, SMALL, transaction=transaction(1)).replayed
        assert numbers(lakehouse, table) == [1]

    def test_processes_that_race_with_one_transaction_write_it_once(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Each batch lands once, and each process learns whether it was the one."""
        lakehouse.ensure(table, SMALL)
        source = """
            rows = [lines({"n": number}) for number in range(20)]
            small = spec_of(("n", "long", False), ("text", "string", True))
            answer = [
                lakehouse.append(arguments[0], row, small, transaction=transaction(n)).replayed
                for n, row in enumerate(rows)
            ]
        """
        replayed = race(source, table)
        assert all(sorted(pair) == [False, True] for pair in zip(*replayed, strict=True))
        assert numbers(lakehouse, table) == list(range(20))

    def test_processes_that_race_with_their_own_transactions_all_land(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Appends and upkeep of several journals at once lose nothing and double nothing."""
        lakehouse.ensure(table, SMALL)
        source = """
            small = spec_of(("n", "long", False), ("text", "string", True))
            for number in range(40):
                mark = transaction(number, f"journal-{me}")
                row = lines({"n": me * 1000 + number})
                assert not lakehouse.append(arguments[0], row, small, transaction=mark).replayed
                if number % 8 == 7:
                    lakehouse.upkeep(arguments[0])
            answer = None
        """
        race(source, table, processes=3)
        expected = [me * 1000 + number for me in range(3) for number in range(40)]
        assert numbers(lakehouse, table) == expected

    def test_sees_what_others_committed(self, lakehouse: Lakehouse, table: str) -> None:
        """Columns and rows that another writer added since the last append are no obstacle."""
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        write_deltalake(table, pl.DataFrame({"n": [2], "text": ["b"]}), mode="append")
        wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))
        open_lakehouse(lakehouse.engine).ensure(table, wider)
        commit = lakehouse.append(table, lines({"n": 3}), SMALL, transaction=transaction(2))
        assert commit.version == 4
        assert numbers(lakehouse, table) == [1, 2, 3]


class TestReplacedTables:
    def test_a_removed_table_is_noticed(self, lakehouse: Lakehouse, table: str) -> None:
        """Nothing is committed to where a table was."""
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        remove(table)
        assert not lakehouse.exists(table)
        with pytest.raises(TableNotFoundError):
            lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(2))
        assert not Path(table).exists()

    @pytest.mark.parametrize("commits", [0, 1, 5])
    def test_a_table_made_anew_is_noticed(
        self, lakehouse: Lakehouse, table: str, commits: int
    ) -> None:
        """Appends go to the new table's log, be it shorter or longer than the old one's."""
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        remove(table)
        another = open_lakehouse(lakehouse.engine)
        another.ensure(table, SMALL)
        for number in range(commits):
            another.append(table, lines({"n": number}), SMALL, transaction=transaction(number, "b"))
        commit = lakehouse.append(table, lines({"n": 99}), SMALL, transaction=transaction(1))
        assert commit == Commit(version=commits + 1)
        assert numbers(lakehouse, table) == [*range(commits), 99]
        assert DeltaTable(table).count() == commits + 1

    def test_a_table_made_anew_without_a_column_gets_it(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """As an earlier release makes it: who goes on appending has ensured the table once."""
        lakehouse.ensure(table, SMALL)
        remove(table)
        open_lakehouse(lakehouse.engine).ensure(table, spec_of(("n", "long", False)))
        row = {"n": 1, "text": "a"}
        lakehouse.append(table, lines(row), SMALL, transaction=transaction(1))
        assert read_rows(table, "n") == [row]


class TestWrite:
    def test_rows_as_mappings_follow_the_spec(self, lakehouse: Lakehouse, table: str) -> None:
        """The table is created as declared, and values arrive exactly."""
        row = {**FULL_ROW, "big": None}
        assert lakehouse.write(table, [row], spec=EVERY_TYPE) == 1
        assert read_rows(table, "moment") == [row]
        assert [(c.name, c.nullable) for c in lakehouse.schema(table)] == [
            (c.name, c.nullable) for c in EVERY_TYPE.columns
        ]

    def test_overwriting_replaces_all_rows_in_one_commit(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """No reader sees the table without rows."""
        first = lakehouse.write(table, [{"n": 1}, {"n": 2}], spec=SMALL)
        assert lakehouse.write(table, [{"n": 3}], spec=SMALL) == first + 1
        assert numbers(lakehouse, table) == [3]

    @pytest.mark.parametrize("text", ["b", "it's \\ \"b\"\n\\'"], ids=["plain", "odd"])
    def test_overwriting_may_replace_some_rows_alone(
        self, lakehouse: Lakehouse, table: str, text: str
    ) -> None:
        """The others stay as they are, with columns that the spec does not know."""
        wider = spec_of(*[(c.name, c.type, c.nullable) for c in SMALL.columns], ("x", "long", True))
        rows = ({"n": 1, "text": "a", "x": 1}, {"n": 2, "text": text, "x": 2}, {"n": 3, "x": 3})
        first = lakehouse.write(table, rows, spec=wider)
        for n in (4, 5):
            new = [{"n": n, "text": text}]
            lakehouse.write(table, new, spec=SMALL, replacing={"text": text})
        lakehouse.write(table, [{"n": 6, "text": "c"}], spec=SMALL, replacing={"text": "c"})
        assert lakehouse.version(table) == first + 3
        assert read_rows(table, "n") == [
            {"n": 1, "text": "a", "x": 1},
            {"n": 3, "text": None, "x": 3},
            {"n": 5, "text": text, "x": None},
            {"n": 6, "text": "c", "x": None},
        ]

    def test_processes_that_race_to_replace_their_own_rows_all_land(self, table: str) -> None:
        """None writes back what it has read of the others' rows before."""
        source = """
            small = spec_of(("n", "long", False), ("text", "string", True))
            for number in range(3):
                if number:
                    wait_for_the_others()
                row = {"n": number, "text": str(me)}
                lakehouse.write(arguments[0], [row], spec=small, replacing={"text": str(me)})
            answer = None
        """
        race(source, table, processes=3, rounds=3)
        assert [(row["n"], row["text"]) for row in read_rows(table, "text")] == [
            (2, "0"),
            (2, "1"),
            (2, "2"),
        ]

    def test_appending_adds_to_the_rows(self, lakehouse: Lakehouse, table: str) -> None:
        """Mode append leaves what is there."""
        lakehouse.write(table, [{"n": 1}], spec=SMALL)
        lakehouse.write(table, [{"n": 2}], spec=SMALL, mode="append")
        assert numbers(lakehouse, table) == [1, 2]

    def test_no_rows_leave_an_empty_table(self, lakehouse: Lakehouse, table: str) -> None:
        """A table may be created, or emptied, by writing nothing."""
        lakehouse.write(table, [], spec=SMALL)
        assert numbers(lakehouse, table) == []
        lakehouse.write(table, [{"n": 1}], spec=SMALL)
        lakehouse.write(table, [], spec=SMALL)
        assert numbers(lakehouse, table) == []

    def test_a_data_frame_makes_its_own_table(self, lakehouse: Lakehouse, table: str) -> None:
        """Without a spec, types are the stream's, and overwriting replaces the columns too."""
        lakehouse.write(table, pl.DataFrame({"n": [1], "text": ["a"]}))
        lakehouse.write(table, pl.DataFrame({"other": [0.5]}))
        assert lakehouse.query("SELECT * FROM t", {"t": table}).to_dicts() == [{"other": 0.5}]

    def test_a_data_frame_is_cast_to_the_spec(self, lakehouse: Lakehouse, table: str) -> None:
        """Narrower types and another order of columns fit; what is missing becomes null."""
        frame = pl.DataFrame({"text": ["a"], "n": [1]}, schema_overrides={"n": pl.Int16})
        wide = spec_of(("n", "long", False), ("text", "string", True), ("more", "long", True))
        lakehouse.write(table, frame, spec=wide)
        assert read_rows(table, "n") == [{"n": 1, "text": "a", "more": None}]

    def test_columns_may_be_of_types_that_no_spec_has(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Of others' tables: amounts, structures, lists of them."""
        frame = pl.DataFrame(
            {"n": [1], "amount": [Decimal("1.50")], "pair": [{"a": 1}], "pairs": [[{"a": "x"}]]},
            schema_overrides={"amount": pl.Decimal(10, 2)},
        )
        lakehouse.write(table, frame)
        spec = spec_of(("n", "long", True))
        lakehouse.write(table, [{"n": 2}], spec=spec, mode="append")
        lakehouse.write(table, frame.with_columns(n=pl.lit(3)), mode="append")
        assert [row["amount"] for row in read_rows(table, "n")] == [
            Decimal("1.50"),
            None,
            Decimal("1.50"),
        ]
        lakehouse.write(table, [{"n": 4}], spec=spec)
        found = lakehouse.query("SELECT n, amount, pair, pairs FROM t", {"t": table})
        assert found.rows == ((4, None, None, None),)

    def test_types_that_delta_lacks_are_stored_in_wider_ones(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """Numbers without a sign, of half precision, and lists of one length, as Spark has them."""
        cases = [
            (2**8 - 1, pl.UInt8(), "short"),
            (2**16 - 1, pl.UInt16(), "integer"),
            (2**32 - 1, pl.UInt32(), "long"),
            (2**64 - 1, pl.UInt64(), "decimal(20,0)"),
            (0.5, pl.Float16(), "float"),
            ([255, 0], pl.Array(pl.UInt8, 2), "array<short>"),
            ({"a": [1]}, pl.Struct({"a": pl.List(pl.UInt16)}), "struct<a:array<integer>>"),
            ("a", pl.Enum(["a", "b"]), "string"),
        ]
        frame = pl.DataFrame(
            [pl.Series(f"c{n}", [value], kind) for n, (value, kind, _) in enumerate(cases)]
        )
        lakehouse.write(table, frame)
        lakehouse.write(table, frame, mode="append")
        schema = DeltaTable(table).schema()
        assert [column.type for column in columns_of(schema)] == [kind for _, _, kind in cases]
        assert not any(field.metadata for field in schema.fields)
        # By a reader that goes by the table's columns, not by the file's.
        assert pl.read_delta(table).rows() == [tuple(value for value, _, _ in cases)] * 2

    @pytest.mark.parametrize("of_whom", ["polars", "arro3"])
    def test_what_is_null_throughout_makes_texts(
        self, lakehouse: Lakehouse, table: str, of_whom: str
    ) -> None:
        """Also within lists and structs, lists that are all empty, and a frame without rows."""
        frame = pl.DataFrame({"n": [1], "a": [None], "b": [[None]], "c": [[]], "d": [{"e": None}]})
        item = Field("item", DataType.null())
        nulls = arrow_rows(
            b'{"n":1,"a":null,"b":[null],"c":[],"d":{"e":null}}',
            Schema(
                [
                    Field("n", DataType.int64()),
                    Field("a", DataType.null()),
                    Field("b", DataType.list(item)),
                    Field("c", DataType.list(item)),
                    Field("d", DataType.struct([Field("e", DataType.null())])),
                ]
            ),
        )
        lakehouse.write(table, frame if of_whom == "polars" else nulls)
        lakehouse.write(table, frame.clear(), mode="append")
        lakehouse.write(table, frame.with_columns(a=pl.lit("x"), c=["y"]), mode="append")
        assert [column.type for column in columns_of(DeltaTable(table).schema())] == [
            "long",
            "string",
            "array<string>",
            "array<string>",
            "struct<e:string>",
        ]
        assert [(row["a"], row["c"]) for row in read_rows(table, "a")] == [("x", ["y"]), (None, [])]

    @pytest.mark.parametrize(
        ("column", "problem"),
        [
            (pl.Series("v", [dt.timedelta(1)]), "column v is Duration.*: cast it before"),
            (pl.Series("v", [{"a": dt.time(1)}]), "column v is Time64.*: cast it before"),
            (pl.Series("v", [1], pl.Int128), "can't be read as Arrow: .*_pli128"),
            (pl.Series("v", [object()], pl.Object), "objects can't be written: \\['v'\\]"),
        ],
        ids=lambda value: str(value.dtype) if isinstance(value, pl.Series) else "",
    )
    def test_types_that_delta_has_nothing_like_are_refused(
        self, lakehouse: Lakehouse, table: str, column: pl.Series, problem: str
    ) -> None:
        """With the column; what polars exports of an object is its address."""
        with pytest.raises(RowsRejectedError, match=problem):
            lakehouse.write(table, pl.DataFrame([column]))
        assert not lakehouse.exists(table)

    def test_of_an_index_of_pandas_what_is_named_becomes_columns(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """However evenly the rows that were filtered are numbered."""
        pandas = pytest.importorskip(
            "pandas", reason="Spark is tried by tox -e connect with pandas"
        )
        frame = pandas.DataFrame({"n": [1, 2, 3, 4], "text": ["a", "b", None, "d"]})
        lakehouse.write(table, frame[frame.n < 3])
        uneven = frame[[True, True, False, True]]
        for rows in (uneven, uneven.set_index("n"), frame.set_index("n")):
            lakehouse.write(table, rows, mode="append")
        found = lakehouse.query("SELECT * FROM t ORDER BY n, text", {"t": table}).to_dicts()
        assert [(row.pop("n"), row.pop("text")) for row in found] == sorted(
            [(1, "a"), (2, "b")] * 4 + [(4, "d")] * 3 + [(3, None)], key=lambda row: row[0]
        )
        assert found == [{}] * 12

    def test_timestamps_without_a_zone_are_utc(self, lakehouse: Lakehouse, table: str) -> None:
        """They make no table that needs a reader for zoneless timestamps."""
        noon = dt.datetime(2024, 1, 2, 12, 0, 0, 5)  # noqa: DTZ001 - the case in question
        lakehouse.write(table, pl.DataFrame({"moment": [noon]}))
        assert DeltaTable(table).protocol()[:2] == (1, 2)
        assert lakehouse.query("SELECT moment FROM t", {"t": table}).rows == (
            (noon.replace(tzinfo=UTC),),
        )

    def test_years_that_python_has_not_are_texts(self, lakehouse: Lakehouse, table: str) -> None:
        """The first and the last of Python's, those beside them, and the last that there are."""
        days = [-719_162, 2_932_896, None, -719_163, -719_529, 2_932_897, 3_000_000]
        second = 1_000_000
        micros = [day and day * 86_400 * second + second - 1 for day in days]
        frame = pl.DataFrame({"n": range(7), "day": days, "at": [*micros[:-1], 2**63 - 1]})
        frame = frame.with_columns(
            pl.col("day").cast(pl.Int32).cast(pl.Date), pl.col("at").cast(pl.Datetime("us", "UTC"))
        )
        write_deltalake(table, frame)
        found = lakehouse.query("SELECT day, at FROM t ORDER BY n", {"t": table})
        last = dt.time(0, 0, 0, 999_999, UTC)
        assert found.rows == (
            (dt.date.min, dt.datetime.combine(dt.date.min, last)),
            (dt.date.max, dt.datetime.combine(dt.date.max, last)),
            (None, None),
            ("0000-12-31", "0000-12-31T00:00:00.999999Z"),
            ("-0001-12-31", "-0001-12-31T00:00:00.999999Z"),
            ("+10000-01-01", "+10000-01-01T00:00:00.999999Z"),
            ("+10183-09-21", "+294247-01-10T04:00:54.775807Z"),
        )

    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param([{"n": 1, "unknown": 2}], id="an unknown field"),
            pytest.param([{"n": "one"}], id="a value of another kind"),
            pytest.param([{"text": "a"}], id="a missing value that must not be null"),
            pytest.param(pl.DataFrame({"n": [1], "unknown": [2]}), id="an unknown column"),
            pytest.param(pl.DataFrame({"n": [1.5]}), id="a fraction for an integer"),
            pytest.param(pl.DataFrame({"n": ["x"]}), id="text for a number"),
            pytest.param(pl.DataFrame({"n": [2**63]}, {"n": pl.UInt64}), id="too large a number"),
            pytest.param(pl.DataFrame({"n": [None, 1]}), id="a null that must not be"),
        ],
    )
    def test_rows_that_do_not_fit_are_refused(
        self, lakehouse: Lakehouse, table: str, rows: pl.DataFrame
    ) -> None:
        """Nothing is cut, rounded, made null or left out in silence; the table stays as it was."""
        lakehouse.write(table, [{"n": 7}], spec=SMALL)
        with pytest.raises(RowsRejectedError):
            lakehouse.write(table, rows, spec=SMALL)
        assert numbers(lakehouse, table) == [7]

    def test_nonsense_is_refused(self, lakehouse: Lakehouse, table: str) -> None:
        """Another mode, and mappings without a spec to read them by, are named."""
        with pytest.raises(ConfigurationError, match="mode='upsert'"):
            lakehouse.write(table, [], spec=SMALL, mode="upsert")
        with pytest.raises(ConfigurationError, match="must be overwrite where replacing="):
            lakehouse.write(table, [], spec=SMALL, mode="append", replacing={"text": "a"})
        with pytest.raises(ConfigurationError, match="None} must be a text"):
            lakehouse.write(table, [], spec=SMALL, replacing={"text": None})  # type: ignore[dict-item]
        with pytest.raises(ConfigurationError, match="pass spec="):
            lakehouse.write(table, [{"n": 1}])


class TestQuery:
    def test_a_version_can_be_pinned(self, lakehouse: Lakehouse, table: str) -> None:
        """Rows committed after the version asked for are not read; a table not named is newest."""
        lakehouse.ensure(table, SMALL)
        first = lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        lakehouse.append(table, lines({"n": 2}), SMALL, transaction=transaction(2))
        assert lakehouse.version(table) == first.version + 1
        result = lakehouse.query(
            "SELECT (SELECT count(*) FROM old) AS o, (SELECT count(*) FROM new) AS n",
            {"old": table, "new": table},
            versions={"old": first.version},
        )
        assert result.rows == ((1, 2),)

    def test_tables_go_by_the_names_given(
        self, lakehouse: Lakehouse, table: str, tmp_path: Path
    ) -> None:
        """Several tables can be joined, also under names with capitals and dots."""
        other = str(tmp_path / "other")
        lakehouse.write(table, [{"n": 1, "text": "a"}], spec=SMALL)
        lakehouse.write(other, [{"n": 1, "text": "b"}], spec=SMALL)
        found = lakehouse.query(
            'SELECT l.text AS mine, o.text AS yours FROM Mine l JOIN "log.other" o ON l.n = o.n',
            {"Mine": table, "log.other": other},
        )
        assert found.to_dicts() == [{"mine": "a", "yours": "b"}]

    def test_maps_are_dictionaries(self, lakehouse: Lakehouse, table: str) -> None:
        """Wherever they are nested."""
        values = "MAP{'k': 1} AS a, [MAP{'k': MAP{2: NULL::INT}}] AS b, {'m': MAP{'k': ['x']}} AS c"
        maps = duckdb.sql(f"SELECT {values}")
        assert maps is not None
        write_deltalake(table, maps)
        assert lakehouse.query("SELECT a, b, c FROM t", {"t": table}).rows == (
            ({"k": 1}, [{"k": {2: None}}], {"m": {"k": ["x"]}}),
        )

    def test_queries_side_by_side_see_their_own_tables(
        self, lakehouse: Lakehouse, tmp_path: Path
    ) -> None:
        """As many queries as may run at once, each of another table by the same name."""
        count = lakehouse.queries_at_once
        places = [str(tmp_path / f"table{number}") for number in range(count)]
        for number, place in enumerate(places):
            lakehouse.write(place, [{"n": number, "text": None}], spec=SMALL)

        def seen(place: str) -> list[list[int]]:
            return [numbers(lakehouse, place) for _ in range(5)]

        found = call_all([partial(seen, place) for place in places])
        assert found == [[[number]] * 5 for number in range(count)]

    def test_bounds_in_the_log_hide_no_row(self, lakehouse: Lakehouse, table: str) -> None:
        """A predicate on the exact microsecond finds its row, before and after compaction."""
        spec = spec_of(("moment", "timestamp", False), ("n", "long", False))
        lakehouse.ensure(table, spec)
        moments = [1_700_000_000_000_999 + number * 1_000_500 for number in range(10)]
        for number, moment in enumerate(moments):
            row = lines({"moment": moment, "n": number})
            lakehouse.append(table, row, spec, transaction=transaction(number))
        for _ in range(2):
            for number, moment in enumerate(moments):
                at = dt.datetime.fromtimestamp(0, UTC) + dt.timedelta(microseconds=moment)
                for comparison in ("=", ">=", "<="):
                    sql = f"SELECT n FROM t WHERE moment {comparison} TIMESTAMP '{at.isoformat()}'"
                    assert (number,) in lakehouse.query(sql, {"t": table}).rows
            lakehouse.upkeep(table)
        assert len(DeltaTable(table).file_uris()) == 1

    def test_a_faulty_statement_is_told(self, lakehouse: Lakehouse, table: str) -> None:
        """The reason stands in the error, and it is not one to retry."""
        lakehouse.ensure(table, SMALL)
        with pytest.raises(LakehouseError, match="nothing_of_the_kind") as caught:
            lakehouse.query("SELECT nothing_of_the_kind FROM t", {"t": table})
        assert not isinstance(caught.value, TableUnavailableError)


class TestUpkeep:
    def test_keeps_all_rows_in_fewer_files(self, lakehouse: Lakehouse, table: str) -> None:
        """Many small files become one, a checkpoint is written, and transactions are kept."""
        lakehouse.ensure(table, EVERY_TYPE)
        for number in range(20):
            rows = lines({**JSON_ROW, "big": number}, {"moment": number, "text": ""})
            lakehouse.append(table, rows, EVERY_TYPE, transaction=transaction(number))
        before = read_rows(table, "moment, big")
        report = lakehouse.upkeep(table)
        assert report == UpkeepReport(compacted_files=20, checkpointed=True)
        assert read_rows(table, "moment, big") == before
        assert len(DeltaTable(table).file_uris()) == 1
        assert list(Path(table, "_delta_log").glob("*.checkpoint.parquet"))
        assert open_lakehouse(lakehouse.engine).transaction_version(table, "journal-1") == 19
        assert lakehouse.append(
            table, lines(JSON_ROW), EVERY_TYPE, transaction=transaction(19)
        ).replayed

    def test_has_nothing_to_do_twice(self, lakehouse: Lakehouse, table: str) -> None:
        """Without commits in between, a second round leaves the table alone."""
        lakehouse.ensure(table, SMALL)
        lakehouse.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        lakehouse.upkeep(table)
        files = sorted(Path(table).rglob("*"))
        assert lakehouse.upkeep(table) == UpkeepReport()
        assert sorted(Path(table).rglob("*")) == files

    def test_a_reader_from_before_can_still_read(self, lakehouse: Lakehouse, table: str) -> None:
        """Files within the retention stay: an open reader, and one that comes for what is new."""
        lakehouse.ensure(table, SMALL)
        for number in range(10):
            lakehouse.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        reader = DeltaTable(table)
        assert lakehouse.upkeep(table).vacuumed_files == 0
        assert pl.read_parquet(reader.file_uris())["n"].sort().to_list() == list(range(10))
        assert DeltaTable(table, version=5).count() == 5

    def test_compaction_brings_an_incremental_reader_nothing_twice(
        self, lakehouse: Lakehouse, table: str
    ) -> None:
        """What compaction adds and removes is marked as no change of data."""
        lakehouse.ensure(table, SMALL)
        for number in range(10):
            lakehouse.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        lakehouse.upkeep(table)
        newest = Path(table, "_delta_log", f"{DeltaTable(table).version():020}.json").read_text()
        assert newest.count('"dataChange":false') == 11
        assert '"dataChange":true' not in newest

    def test_files_past_the_retention_are_removed(self, lakehouse: Lakehouse, table: str) -> None:
        """The table's own retention says when replaced files go; the rows are not among them."""
        spec = spec_of(
            ("n", "long", False), **{"delta.deletedFileRetentionDuration": "interval 0 seconds"}
        )
        lakehouse.ensure(table, spec)
        for number in range(10):
            lakehouse.append(table, lines({"n": number}), spec, transaction=transaction(number))
        report = lakehouse.upkeep(table)
        assert (report.compacted_files, report.vacuumed_files) == (10, 10)
        assert len(list(Path(table).glob("*.parquet"))) == 1
        assert numbers(lakehouse, table) == list(range(10))


def test_registering_tells_whether_there_is_a_metastore(lakehouse: Lakehouse, table: str) -> None:
    """Embedded there is none, which fails nothing."""
    lakehouse.ensure(table, SMALL)
    assert lakehouse.register(table, "log.events") is (lakehouse.engine == "spark")


@pytest.fixture
def unreachable(lakehouse: Lakehouse) -> Lakehouse:
    """An object store behind a port where nobody listens."""
    return open_lakehouse(
        lakehouse.engine,
        storage_options={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "not-a-key",
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "AWS_REGION": "us-east-1",
            "max_retries": "0",
            "connect_timeout": "1s",
        },
    )


def test_an_unreachable_store_is_worth_a_retry(unreachable: Lakehouse) -> None:
    """Every operation says that the store can't be reached, in one line without colours."""
    table = "s3://bucket/log"
    for use in (
        lambda: unreachable.exists(table),
        lambda: unreachable.schema(table),
        lambda: unreachable.ensure(table, SMALL),
        lambda: unreachable.append(table, lines({"n": 1}), SMALL, transaction=transaction(1)),
        lambda: unreachable.transaction_version(table, "journal-1"),
        lambda: unreachable.write(table, [{"n": 1}], spec=SMALL),
        lambda: unreachable.query("SELECT 1 FROM t", {"t": table}),
        lambda: unreachable.upkeep(table),
    ):
        with pytest.raises(TableUnavailableError, match="s3://bucket/log") as caught:
            use()
        assert caught.value.__cause__ is not None
        assert not {"\n", "\x1b"} & set(str(caught.value))
        assert "not-a-secret" not in str(caught.value)


def remove(table: str) -> None:
    import shutil

    shutil.rmtree(table)
