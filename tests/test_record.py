"""A log record becomes a row: every column, every kind of field, and nothing that can raise."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import logging
import numbers
import os
import socket
import sys
import threading
import time
import uuid
from collections import UserDict
from collections.abc import ItemsView, Iterator
from pathlib import PurePosixPath
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from spectra_logging.errors import ConfigurationError
from spectra_logging.record import RowEncoder
from spectra_logging.redaction import register_secret
from spectra_logging.tables import ACTIVITY_LOG, EVENT_LOG, Column, TableSpec
from spectra_logging.values import MAX_DEPTH

EVERY_TYPE = TableSpec(
    name="log.types",
    json_column="rest",
    columns=(
        Column(name="text", type="string"),
        Column(name="big", type="long"),
        Column(name="small", type="integer"),
        Column(name="ratio", type="double"),
        Column(name="flag", type="boolean"),
        Column(name="moment", type="timestamp"),
        Column(name="day", type="date"),
        Column(name="tags", type="array<string>"),
        Column(name="counts", type="array<integer>"),
        Column(name="needed", type="long", nullable=False, default=7),
        Column(name="rest", type="string"),
    ),
)


def make_record(message: object = "hello", *args: object, **extra: object) -> logging.LogRecord:
    """A record as ``Logger.makeRecord`` gives it."""
    return logging.getLogger("shop.orders").makeRecord(
        "shop.orders", logging.INFO, "/srv/shop/orders.py", 42, message, args, None, "sell", extra
    )


def row_of(record: logging.LogRecord, spec: TableSpec = EVENT_LOG) -> dict[str, Any]:
    """The row, with its JSON column taken apart."""
    return taken_apart(RowEncoder(spec).encode(record), spec)


def taken_apart(line: bytes, spec: TableSpec = EVENT_LOG) -> dict[str, Any]:
    """A line's row, with its JSON column taken apart and without its checksum."""
    row: dict[str, Any] = msgspec.json.decode(line)
    assert spec.json_column is not None
    del row["crc"]
    if spec.json_column in row:
        row[spec.json_column] = msgspec.json.decode(row[spec.json_column])
    return row


def test_every_column_of_an_event_row_has_its_value() -> None:
    """Exact names, values and types for a plain stdlib call."""
    record = make_record("sold %d", 3, entity="book", execution_id="nb_1")
    assert row_of(record) == {
        "recorded_at": int(record.created * 1e6 + 0.5),
        "level": "INFO",
        "logger": "shop.orders",
        "event": "sold 3",
        "execution_id": "nb_1",
        "module": "orders",
        "function": "sell",
        "line": 42,
        "thread": threading.current_thread().name,
        "process_id": os.getpid(),
        "host": socket.gethostname(),
        "context": {"entity": "book"},
    }


def test_fields_keep_the_order_they_were_given_in() -> None:
    """A person reads the JSON column as the call was written."""
    encoded = RowEncoder(EVENT_LOG).encode(make_record(zebra=1, apple=2, mango=3))
    assert list(msgspec.json.decode(msgspec.json.decode(encoded)["context"])) == [
        "zebra",
        "apple",
        "mango",
    ]


def test_typed_columns_take_what_fits_them() -> None:
    """Each type, with the value as the engine reads it."""
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    row = row_of(
        make_record(
            text="é",
            big=2**62,
            small=-5,
            ratio=0.1,
            flag=True,
            moment=moment,
            day=dt.date(2026, 1, 2),
            tags=["a", None],
            counts=(1, 2),
        ),
        EVERY_TYPE,
    )
    del row["rest"], row["needed"]
    assert row == {
        "text": "é",
        "big": 2**62,
        "small": -5,
        "ratio": 0.1,
        "flag": True,
        "moment": 1767315845678901,
        "day": "2026-01-02",
        "tags": ["a", None],
        "counts": [1, 2],
    }


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("big", 2**63, 2**63),
        ("big", 2**64, "18446744073709551616"),
        ("big", "12", "12"),
        ("big", True, True),
        ("big", 1.5, 1.5),
        ("small", 2**31, 2**31),
        ("ratio", float("nan"), "nan"),
        ("ratio", float("-inf"), "-inf"),
        ("flag", 1, 1),
        ("moment", 5, 5),
        ("moment", "soon", "soon"),
        ("day", "yesterday", "yesterday"),
        ("day", dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc), "2026-01-02T00:00:00Z"),
        ("tags", "a", "a"),
        ("counts", ["x"], ["x"]),
    ],
)
def test_a_value_that_does_not_fit_its_column_is_kept_in_the_json_column(
    name: str, value: object, kept: object
) -> None:
    """An extra whose type changes between calls loses nothing."""
    row = row_of(make_record(**{name: value}), EVERY_TYPE)
    assert name not in row
    assert row["rest"].items() >= {name: kept}.items()


def test_what_a_column_holds_without_a_loss_it_takes() -> None:
    """A whole number that came as a float, and a time without a zone, which is UTC."""
    noon = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001 - the case in question
    row = row_of(make_record(big=5.0, small=-5.0, moment=noon), EVERY_TYPE)
    assert (row["big"], row["small"], row["moment"]) == (5, -5, 1767355200000000)
    assert row["rest"].keys() == {"recorded_at", "event"}


def test_columns_that_are_never_null_get_their_default() -> None:
    """Also when the value given does not fit."""
    assert row_of(make_record(), EVERY_TYPE)["needed"] == 7
    assert row_of(make_record(needed="x"), EVERY_TYPE)["needed"] == 7
    row = row_of(make_record())
    activity = row_of(make_record(), ACTIVITY_LOG)
    assert {c.name for c in ACTIVITY_LOG.columns if not c.nullable} <= set(activity)
    assert activity["start_time"] == activity["recorded_at"]
    assert uuid.UUID(activity["activity_id"]).version == 7
    assert "activity_id" not in row


def test_columns_that_are_never_null_and_have_no_default_hold_what_is_empty() -> None:
    """Each in its type; the table would refuse the row else."""
    empty = {
        "text": ("string", ""),
        "big": ("long", 0),
        "ratio": ("double", 0.0),
        "flag": ("boolean", False),
        "day": ("date", "1970-01-01"),
        "tags": ("array<string>", []),
    }
    columns = (Column(name=name, type=type_, nullable=False) for name, (type_, _) in empty.items())
    spec = TableSpec(
        name="log.required",
        json_column="rest",
        columns=(*columns, Column(name="rest", type="string")),
    )
    row = row_of(make_record(), spec)
    assert {name: row.get(name) for name in empty} == {
        name: value for name, (_, value) in empty.items()
    }


def test_a_mapping_under_the_json_column_s_own_name_is_merged() -> None:
    """``extra={"metadata": {…}}`` does not nest under itself."""
    assert row_of(make_record(context={"a": 1}, b=2))["context"] == {"a": 1, "b": 2}


def test_a_field_named_like_a_column_the_record_fills_is_kept() -> None:
    """The record's own value stands; the caller's goes into the JSON column."""
    row = row_of(make_record(line=7, host="example.com", level="info", logger="other"))
    assert (row["line"], row["level"]) == (42, "INFO")
    assert row["context"] == {"line": 7, "host": "example.com", "logger": "other"}


def test_fields_of_one_name_are_all_kept() -> None:
    """The first has the name; what comes after gets a number, whatever made them meet."""
    same = {"a": 1, "context": {"a": 2, "b": 3}, "b": 3}
    assert row_of(make_record(**same))["context"] == {"a": 1, "a_2": 2, "b": 3}
    record = make_record()
    record.__dict__.update({1: "number", "1": "text", "inner": {1: "number", "1": "text"}})  # type: ignore[dict-item]
    kept = {"1": "number", "1_2": "text"}
    assert row_of(record)["context"] == {**kept, "inner": kept}
    del record.__dict__["inner"]
    assert row_of(record)["context"] == kept
    assert familiar_row(record, after=record) is None
    many = row_of(make_record(inner={Colliding(): number for number in range(20)}))
    assert sorted(many["context"]["inner"].values()) == list(range(20))


class Colliding:
    """A key that reads as every other of its class."""

    def __str__(self) -> str:
        return "key"


def test_a_field_called_exception_makes_way_for_the_traceback() -> None:
    """It goes where fields go that are called as what a record fills itself."""
    record = make_record(exception="of the order")
    record.exc_info = (ValueError, ValueError("x"), None)
    row = row_of(record)
    assert row["exception"] == "ValueError: x"
    assert row["context"] == {"exception": "of the order"}
    context = row_of(record, ACTIVITY_LOG)["metadata"]
    assert context == {"exception": "ValueError: x", "exception_2": "of the order"}


class Colour(enum.Enum):
    """A value msgspec knows."""

    RED = "red"


class Awkward:
    """A value that can't be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    __str__ = __repr__


class Count:
    """A whole number of another library's, as NumPy's are."""

    def __index__(self) -> int:
        return 3


class Share:
    """A number of another library's, as NumPy's of 32 bits are."""

    def __float__(self) -> float:
        return 0.5


numbers.Real.register(Share)
Truth = type("bool_", (), {"__bool__": lambda _: True})


class Moment(dt.datetime):
    """A time of another library's, as pandas's and pendulum's are."""


class Span(dt.timedelta):
    """Likewise a duration."""


def test_numbers_and_times_of_other_libraries_are_numbers_and_times() -> None:
    """In typed columns and in the JSON column, wherever Python takes them for such."""
    when = Moment(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc)
    given = {"big": Count(), "ratio": Share(), "flag": Truth(), "moment": when, "counts": [Count()]}
    kept = {"big": 3, "ratio": 0.5, "flag": True, "moment": 1767323045000006, "counts": [3]}
    assert row_of(make_record(**given), EVERY_TYPE).items() >= kept.items()
    context = row_of(make_record(**given, took=Span(seconds=90), day=when.date()))["context"]
    assert context == {
        **kept,
        "moment": "2026-01-02T03:04:05.000006+00:00",
        "took": "PT90S",
        "day": "2026-01-02",
    }


def test_values_beyond_json_are_kept_in_words() -> None:
    """Dates, decimals, bytes, enums, cycles, what can't be shown, and what is too large."""
    cyclic: dict[str, object] = {}
    cyclic["me"] = cyclic
    context = row_of(
        make_record(
            when=dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc),
            price=decimal.Decimal("1.10"),
            raw=b"\xffok",
            colour=Colour.RED,
            cyclic=cyclic,
            awkward=Awkward(),
            huge=2**70,
            not_a_number=float("nan"),
            surrogate="\ud800",
            nul="\0",
            some={3, 1},
            keys={1: "one", None: "none"},
        )
    )["context"]
    assert context == {
        "when": "2026-01-02T00:00:00Z",
        "price": "1.10",
        "raw": "\\xffok",
        "colour": "red",
        "cyclic": {"me": "<cycle>"},
        "awkward": "<Awkward whose repr raises RuntimeError>",
        "huge": "1180591620717411303424",
        "not_a_number": "nan",
        "surrogate": "\\ud800",
        "nul": "\0",
        "some": [1, 3],
        "keys": {"1": "one", "None": "none"},
    }


class Gone(UserDict[str, int]):
    """A mapping whose items can't be had."""

    def items(self) -> ItemsView[str, int]:
        raise ConnectionError("the proxy's object is gone")


def test_what_nests_too_deeply_or_can_not_be_looked_into_is_a_note() -> None:
    """The fields beside it are kept, and what is above the note."""
    deep: object = "unseen"
    for _ in range(MAX_DEPTH + 4):
        deep = [deep]
    context = row_of(make_record(deep=deep, gone={"inner": Gone()}, n=1))["context"]
    for _ in range(MAX_DEPTH):
        (context["deep"],) = context["deep"]
    assert context == {
        "deep": "<nested too deeply>",
        "gone": {"inner": "<Gone that can't be looked into: ConnectionError>"},
        "n": 1,
    }


class Sealed(tuple[object, ...]):
    """A tuple that is no sequence to its users, as Dagster's records are."""

    __slots__ = ()

    def __iter__(self) -> Iterator[object]:
        raise TypeError("iteration is not allowed")

    def __repr__(self) -> str:
        return f"Sealed(text={self[0]!r})"


def test_a_tuple_that_refuses_to_be_iterated_is_its_repr() -> None:
    context = row_of(make_record(meta={"pid": Sealed(["17"])}, n=1))["context"]
    assert context == {"meta": {"pid": "Sealed(text='17')"}, "n": 1}


def test_numbers_of_numpy_are_numbers_and_paths_are_their_text() -> None:
    """As sums over a data frame's columns come; also in the columns that are made for numbers."""
    numpy = pytest.importorskip("numpy", reason="needs numpy")
    context = row_of(
        make_record(
            rows=numpy.int64(5),
            least=numpy.uint8(0),
            share=numpy.float32(0.5),
            valid=numpy.bool_(True),
            zero_dimensional=numpy.array(7),
            undefined=numpy.float32("nan"),
            long=numpy.longdouble(1.5),
            day=numpy.datetime64("2026-01-02T03:04"),
            nested=[{"rows": numpy.int32(-1)}],
            path=PurePosixPath("/data/orders.csv"),
        )
    )["context"]
    assert context == {
        "rows": 5,
        "least": 0,
        "share": 0.5,
        "valid": True,
        "zero_dimensional": 7,
        "undefined": "nan",
        "long": 1.5,
        "day": "2026-01-02T03:04",
        "nested": [{"rows": -1}],
        "path": "/data/orders.csv",
    }
    row = row_of(
        make_record(row_count=numpy.int64(5), duration_seconds=numpy.float32(0.5)), ACTIVITY_LOG
    )
    assert (row["row_count"], row["duration_seconds"]) == (5, 0.5)
    assert "metadata" not in row


class Unbound:
    """A proxy of what is not there, such as Flask's outside of a request."""

    def __index__(self) -> int:
        raise RuntimeError("working outside of request context")

    def __repr__(self) -> str:
        return "<Unbound>"


def test_what_may_be_a_number_and_raises_when_asked_costs_a_record_nothing() -> None:
    """In a typed column and in the JSON column it is kept in words, and the rest as it is."""
    row = row_of(make_record(row_count=Unbound(), user=Unbound(), entity="book"), ACTIVITY_LOG)
    kept = {"row_count": "<Unbound>", "user": "<Unbound>", "entity": "book"}
    assert row["metadata"].items() >= kept.items()


@dataclasses.dataclass
class Job:
    """What a program may know of its work."""

    rows: object
    source: object
    client: object = None


def test_a_dataclass_is_taken_apart_whatever_its_fields_hold() -> None:
    """Each field by the rules for values; what has a repr alone does not have all in words."""
    client = Job(UserDict({1: Share()}), [Truth()], Unbound())
    job = Job(Count(), PurePosixPath("/data"), client)
    assert row_of(make_record(job=job))["context"]["job"] == {
        "rows": 3,
        "source": "/data",
        "client": {"rows": {"1": 0.5}, "source": [True], "client": "<Unbound>"},
    }


def test_a_message_whose_arguments_do_not_fit_names_the_failure() -> None:
    """The message stands as it is, with its arguments beside it."""
    row = row_of(make_record("%d of %d", "x", entity="book"))
    assert row["event"] == "%d of %d"
    assert row["context"]["args"] == ["x"]
    assert row["context"]["entity"] == "book"
    assert row["context"]["logging_error"].startswith("TypeError")


def test_arguments_that_can_not_be_shown_name_the_failure() -> None:
    """A raising ``__str__`` is no reason to lose the record."""
    row = row_of(make_record("got %s", Awkward()))
    assert row["event"] == "got %s"
    assert row["context"]["logging_error"] == "RuntimeError: no repr"


class BraceRecord(logging.LogRecord):
    """A record whose arguments are filled in as by ``str.format``."""

    def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
        return str(self.msg).format(*(self.args or ()))


def test_a_record_class_with_its_own_way_of_arguments_has_its_say() -> None:
    """As set by ``logging.setLogRecordFactory``; also when more of its call site follow."""

    def brace(message: str, *args: object) -> logging.LogRecord:
        return BraceRecord("shop", logging.INFO, "/srv/shop.py", 1, message, args, None)

    encoder = RowEncoder(EVENT_LOG)
    for record in (brace("{{sold}}"), brace("{{sold}}"), brace("hello {}", "%s")):
        assert encoder.encode_familiar(record) is None
        row = taken_apart(encoder.encode(record))
        assert row["event"] == record.getMessage()
        assert "context" not in row
    failed = row_of(brace("hello {}"))
    assert failed["event"] == "hello {}"
    assert failed["context"]["logging_error"].startswith("IndexError")


def test_a_record_that_is_no_record_becomes_a_substitute_row() -> None:
    """Whatever a custom record factory leaves out."""
    record = make_record("fine", entity="book")
    del record.created
    row = row_of(record)
    assert row["event"] == "fine"
    assert row["context"]["logging_error"].startswith("KeyError")
    assert row["logger"] == "shop.orders"


def test_a_row_is_frozen_when_it_is_encoded() -> None:
    """What the caller changes afterwards changes nothing."""
    items = {"n": 1}
    encoded = RowEncoder(EVENT_LOG).encode(make_record(items=items))
    items["n"] = 2
    assert b'\\"n\\":1' in encoded


def test_no_exception_is_null_and_no_empty_text() -> None:
    """``Logger.exception()`` outside of an ``except`` has three times nothing to tell."""
    record = make_record("gone wrong")
    record.exc_info = (None, None, None)
    assert "exception" not in row_of(record)


def test_an_exception_is_a_traceback_in_its_column() -> None:
    """With the stack, where one was asked for; the record itself is left as it was."""
    record = make_record()
    try:
        raise ValueError("out of stock")  # noqa: TRY301 - the traceback is to be logged
    except ValueError:
        record.exc_info = sys.exc_info()
    record.stack_info = "Stack (most recent call last): …"
    exception = row_of(record)["exception"]
    assert exception.startswith("Traceback (most recent call last)")
    assert exception.endswith("ValueError: out of stock\nStack (most recent call last): …")
    assert record.exc_text is None


def test_structlog_s_context_variables_reach_plain_stdlib_calls() -> None:
    """Bound values fill columns and the JSON column; the call's own fields win."""
    structlog.contextvars.bind_contextvars(execution_id="nb_2", run=5, entity="bound")
    try:
        row = row_of(make_record(entity="own"))
    finally:
        structlog.contextvars.clear_contextvars()
    assert row["execution_id"] == "nb_2"
    assert row["context"] == {"entity": "own", "run": 5}


def test_a_spec_without_a_json_column_is_refused() -> None:
    """Fields without a column would have nowhere to go."""
    spec = TableSpec(name="log.none", columns=(Column(name="event", type="string"),))
    with pytest.raises(ConfigurationError, match="json_column"):
        RowEncoder(spec)


@pytest.mark.parametrize(
    ("types", "options", "problem"),
    [
        ({"a": "text"}, {}, "column 'a' of type 'text' needs a name, and a type that is one of"),
        ({"a": "array<date>"}, {}, "column 'a' of type 'array<date>' needs"),
        ({"": "string"}, {}, "column '' of type 'string' needs a name"),
        ({"a": "string"}, {"json_column": "b"}, "has no column 'b'"),
        ({"a": "long"}, {"json_column": "a"}, "json_column 'a' must be a string column"),
        ({"a": "long"}, {"keys": ("a", "b")}, "has no column 'b'"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(
    types: dict[str, str], options: dict[str, Any], problem: str
) -> None:
    """Where it is declared, and not where the first record is to become a row of it."""
    columns = tuple(Column(name=name, type=type_name) for name, type_name in types.items())
    with pytest.raises(ConfigurationError, match=r"spec 'log\.odd'") as raised:
        TableSpec(name="log.odd", columns=columns, **options)
    assert problem in str(raised.value)


@pytest.mark.parametrize("names", [("a", "a"), ("order", "Order")])
def test_columns_whose_names_no_table_tells_apart_are_refused(names: tuple[str, str]) -> None:
    """At once: such a table can't be made, and every record would wait for it."""
    columns = tuple(Column(name=name, type="string") for name in names)
    with pytest.raises(ConfigurationError, match=f"'log.odd' declares twice: {names[1]}"):
        TableSpec(name="log.odd", columns=columns)


@pytest.mark.parametrize("column_type", ["array<date>", "decimal(10,2)", "String"])
def test_a_column_s_type_that_no_spec_takes_is_refused_with_those_that_it_takes(
    column_type: str,
) -> None:
    """Each that the message names can be declared, and what it does not name can't."""
    with pytest.raises(ConfigurationError) as caught:
        TableSpec(name="log.odd", columns=(Column(name="a", type=column_type),))
    listed = str(caught.value).partition("a type that is one of ")[2].split(", ")
    assert {"string", "array<string>"} < set(listed)
    assert column_type not in listed
    for name in listed:
        TableSpec(name="log.even", columns=(Column(name="a", type=name),))


def test_without_a_column_the_message_and_the_time_go_into_the_json_column() -> None:
    """First of all, also for call sites seen before, and where a field is called so."""
    encoder = RowEncoder(EVERY_TYPE)
    for _ in range(2):
        record = make_record("sold %d", 3, event="own", rest={"recorded_at": "own"})
        record.created = 1767315845.678901
        assert encoder.encode_familiar(record) is None
        assert taken_apart(encoder.encode(record), EVERY_TYPE) == {
            "needed": 7,
            "rest": {
                "recorded_at": "2026-01-02T01:04:05.678901Z",
                "event": "sold 3",
                "event_2": "own",
                "recorded_at_2": "own",
            },
        }


@pytest.mark.parametrize(
    ("column", "named"),
    [
        (Column(name="level", type="integer"), "'level'.*'integer' may only be string"),
        (Column(name="recorded_at", type="string"), "'recorded_at'.*'string'.*timestamp"),
        (Column(name="line", type="string"), "'line'.*'string' may only be integer or long"),
        (Column(name="trace_id", type="long"), "'trace_id'.*'long' may only be string"),
        (Column(name="crc", type="string"), "'crc'; the column may have any other name"),
        (
            Column(name="n", type="long", nullable=False, default="x"),
            "'n' has the default 'x'.*'long'",
        ),
    ],
)
def test_a_column_that_can_not_hold_what_it_is_given_is_refused(column: Column, named: str) -> None:
    """At once, as every row would be set aside later."""
    rest = Column(name="rest", type="string")
    with pytest.raises(ConfigurationError, match=f"'log.odd'.*{named}"):
        RowEncoder(TableSpec(name="log.odd", json_column="rest", columns=(column, rest)))
    with pytest.raises(ConfigurationError, match="json_column 'event'"):
        RowEncoder(
            TableSpec(
                name="log.odd", json_column="event", columns=(Column(name="event", type="string"),)
            )
        )


def test_a_default_is_what_its_column_holds() -> None:
    """Also one that a function makes; where that fails the row says so, and is written."""

    def broken() -> str:
        raise RuntimeError("no default")

    spec = TableSpec(
        name="log.defaults",
        json_column="rest",
        columns=(
            Column(name="event", type="string"),
            Column(name="recorded_at", type="timestamp"),
            Column(
                name="since", type="timestamp", nullable=False, default="1970-01-01T00:00:01+00:00"
            ),
            Column(name="made", type="long", nullable=False, default=lambda: "x"),
            Column(name="broken", type="string", nullable=False, default=broken),
            Column(name="rest", type="string"),
        ),
    )
    row = row_of(make_record(), spec)
    assert (row["since"], row["made"], row["broken"]) == (1_000_000, 0, "")
    assert row["rest"] == {
        "logging_error": "DoesNotFitError: str does not fit long",
        "logging_error_2": "RuntimeError: no default",
    }


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.datetimes()
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    message=st.one_of(st.text(st.characters()), anything),
    args=st.lists(anything, max_size=2),
    extra=st.dictionaries(
        st.text().filter(lambda name: name not in logging.makeLogRecord({}).__dict__), anything
    ),
)
def test_any_record_becomes_one_line_of_json(
    message: object, args: list[object], extra: dict[str, object]
) -> None:
    """Whatever is logged: a JSON object, on one line, with every column that is never null."""
    record = make_record(message, *args)
    record.__dict__.update(extra)
    line = RowEncoder(ACTIVITY_LOG).encode(record)
    assert line.find(b"\n") == len(line) - 1
    assert b"\0" not in line
    row = msgspec.json.decode(line)
    assert {c.name for c in ACTIVITY_LOG.columns if not c.nullable} <= set(row)


@given(
    messages=st.lists(st.one_of(st.text(st.characters()), anything), min_size=2, max_size=4),
    args=st.lists(anything, max_size=2),
    extras=st.lists(
        st.dictionaries(st.sampled_from(["a", "token", "line", "é\n", "level"]), anything),
        min_size=2,
        max_size=4,
    ),
)
def test_a_familiar_call_site_gives_the_same_rows_as_a_new_one(
    messages: list[object], args: list[object], extras: list[dict[str, object]]
) -> None:
    """What an encoder remembers of a call site changes no row, whatever comes from there next."""
    experienced = RowEncoder(EVENT_LOG)
    for message, extra in [*zip(messages, extras, strict=False)] * 2:
        record = make_record(message, *args, **extra)
        line = experienced.encode_familiar(record) or experienced.encode(record)
        assert taken_apart(line) == row_of(record)


def familiar_row(record: logging.LogRecord, *, after: logging.LogRecord) -> dict[str, Any] | None:
    """The row that an encoder gives at once, having seen another record; ``None`` for none."""
    encoder = RowEncoder(EVENT_LOG)
    assert encoder.encode_familiar(after) is None, "nothing is familiar before it was seen"
    encoder.encode(after)
    line = encoder.encode_familiar(record)
    return None if line is None else taken_apart(line)


@pytest.mark.parametrize(
    ("message", "args", "extra"),
    [
        ("sold", (), {}),
        ("sold %d of %s", (3, "book"), {}),
        ("sold", (), {"n": 3, "who": 'Zoë "Z"', "paid": True, "note": None, "price": 1.5}),
        ("a message that changes", (), {"n": 4}),
        ("hashes and ids without a sign", (), {"n": 2**64 - 1, "m": 2**63, "least": -(2**63)}),
    ],
)
def test_most_records_of_a_known_call_site_are_familiar(
    message: str, args: tuple[object, ...], extra: dict[str, object]
) -> None:
    """And they give the very row that a new encoder gives."""
    record = make_record(message, *args, **extra)
    before = make_record("sold", **dict.fromkeys(extra, "other"))
    assert familiar_row(record, after=before) == row_of(record)


def test_what_is_special_about_a_record_is_never_taken_for_familiar() -> None:
    """A traceback, another extra, another level, thread or process, a secret, what JSON lacks."""
    changes: list[dict[str, object]] = [
        {"exc_info": (ValueError, ValueError("x"), None)},
        {"exc_text": "Traceback"},
        {"stack_info": "Stack"},
        {"more": 1},
        {"levelno": 40},
        {"levelname": "ERROR"},
        {"thread": 1},
        {"threadName": "other"},
        {"process": 1},
        {"msg": "password=hunter2"},
        {"n": "password=hunter2"},
        {"n": float("nan")},
        {"n": float("inf")},
        {"n": [1]},
    ]
    for change in changes:
        record = make_record("sold", n=1)
        record.__dict__.update(change)
        assert familiar_row(record, after=make_record("sold", n=1)) is None, change


def test_a_secret_registered_later_is_not_in_what_became_familiar_before() -> None:
    """Neither in the message nor in the logger's name, which are encoded once."""
    encoder = RowEncoder(EVENT_LOG)
    record = make_record("opened with correct-horse")
    encoder.encode(record)
    assert encoder.encode_familiar(record) is not None
    register_secret("correct-horse")
    assert encoder.encode_familiar(record) is None
    assert b"correct-horse" not in encoder.encode(record)
    assert b"correct-horse" not in (encoder.encode_familiar(record) or b"")
    register_secret("shop.orders")
    assert b"shop.orders" not in encoder.encode(record)
    assert encoder.encode_familiar(record) is None


def test_variables_bound_by_structlog_that_a_record_lacks_make_it_unfamiliar() -> None:
    """Where ``merge_contextvars`` has put them into the record, it is familiar all the same."""
    with structlog.contextvars.bound_contextvars(request="r-1"):
        record = make_record("sold")
        assert familiar_row(record, after=make_record("sold")) is None
        assert row_of(record)["context"] == {"request": "r-1"}
        merged = make_record("sold", request="r-1")
        assert familiar_row(merged, after=merged) == row_of(merged)


def test_a_number_that_is_a_secret_leaves_its_column_empty() -> None:
    """``***`` does not fit a column of numbers: null stands there, or 0 where null may not."""
    record = make_record("sold", number=48_151)
    record.process = 48_151  # The test's own may have too few digits for a secret.
    register_secret("48151")
    row = row_of(record)
    assert row["process_id"] is None
    assert row["context"] == {"number": "***"}
    assert row_of(record, ACTIVITY_LOG)["process_id"] == 0


@pytest.mark.parametrize("created", [1.8e12, 1.8e15, 1.8e300, -1e12, float("nan"), float("inf")])
def test_a_time_that_no_one_can_read_becomes_now(created: float) -> None:
    """Milliseconds in place of seconds, say; what was given is kept, and never familiar."""
    encoder = RowEncoder(EVENT_LOG)
    for _ in range(2):
        record = make_record("sold")
        before = time.time()
        record.created = created
        assert encoder.encode_familiar(record) is None
        row = taken_apart(encoder.encode(record))
        assert before - 1 <= row["recorded_at"] / 1e6 <= time.time() + 1
        assert row["event"] == "sold"
        assert float(row["context"]["created"]) == pytest.approx(created, nan_ok=True)


@pytest.mark.parametrize("modules", [("orders", "bills"), ("", "orders"), (None, "orders")])
def test_records_that_differ_in_their_module_alone_each_show_their_own(
    modules: tuple[str | None, ...],
) -> None:
    """As those that another process made, of which not even the path need be known."""
    encoder = RowEncoder(EVENT_LOG)
    for module in (*modules, *modules):
        record = logging.makeLogRecord({"name": "shop", "msg": "sold", "module": module})
        line = encoder.encode_familiar(record) or encoder.encode(record)
        assert taken_apart(line).get("module") == module
