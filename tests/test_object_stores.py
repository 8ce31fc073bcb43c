"""The embedded engine and the handler on object stores, emulated: S3 by moto, Azure by azurite."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from spectra_logging.drain import drain_journals
from spectra_logging.errors import (
    ConfigurationError,
    TableForbiddenError,
    TableNotFoundError,
    TableUnavailableError,
)
from spectra_logging.lakehouse import open_lakehouse
from spectra_logging.lakehouse.base import Commit, Lakehouse, TableChange
from tests.handlers import attach
from tests.lakehouses import lines, race, spec_of, transaction
from tests.programs import free_port, start_program, wait_until
from tests.relay import failing_front
from tests.stores import Azurite, Store, missing_for, moto_server, s3_store

SMALL = spec_of(("n", "long", False), ("text", "string", True))
EVENTS_COUNT = "SELECT count(*), count(DISTINCT event) FROM t"


@pytest.fixture(scope="module", params=["s3", "azure"])
def bucket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A running store of each kind; gives the store's folder of a name."""
    if reason := missing_for(request.param):
        pytest.skip(reason)
    if request.param == "s3":
        port = free_port()
        with moto_server(port):
            yield lambda name: s3_store(port, name)
    else:
        with Azurite(tmp_path_factory.mktemp("azurite")).running() as azurite:
            azurite.create_container("bucket")
            yield lambda name: azurite.store("bucket", name)


@pytest.fixture
def store(bucket: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A folder of the test's own."""
    store: Store = bucket(request.node.originalname)
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    return store


@pytest.fixture
def embedded(store: Store) -> Lakehouse:
    return open_lakehouse("deltalake", storage_options=store.options)


@pytest.fixture
def table(store: Store) -> str:
    return f"{store.root}/Tables/log/events"


def test_a_table_lives_there_as_on_a_disk(store: Store, embedded: Lakehouse, table: str) -> None:
    """Made, appended to once a transaction, widened, compacted, overwritten and queried."""
    assert not embedded.exists(table)
    with pytest.raises(TableNotFoundError, match="Tables/log/events"):
        embedded.version(table)
    assert embedded.ensure(table, SMALL) == TableChange(created=True)
    for number in range(8):
        embedded.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
    replay = embedded.append(table, lines({"n": 3}), SMALL, transaction=transaction(3))
    assert replay == Commit(version=8, replayed=True, found=True)
    wider = spec_of(("n", "long", False), ("text", "string", True), ("more", "double", True))
    assert embedded.ensure(table, wider) == TableChange(added_columns=("more",))
    report = embedded.upkeep(table)
    assert (report.compacted_files, report.checkpointed) == (8, True)
    assert embedded.query("SELECT count(*), sum(n) FROM t", {"t": table}).rows == ((8, 28),)
    foreign = DeltaTable(table, storage_options=dict(store.options))
    assert len(foreign.file_uris()) == 1
    assert foreign.transaction_version("journal-1") == 7
    embedded.write(table, [{"n": 99}], spec=SMALL)
    found = embedded.query("SELECT n FROM new", {"new": table})
    before = embedded.query("SELECT count(*) FROM old", {"old": table}, versions={"old": 9})
    assert (found.rows, before.rows) == (((99,),), ((8,),))


def test_compaction_asks_no_store_for_what_the_log_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a file's size delta-rs would ask with the GIL held, and no log call go on meanwhile."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    requests = tmp_path / "requests"
    monkeypatch.setenv("MOTO_RECORDER_FILEPATH", str(requests))
    monkeypatch.setenv("MOTO_ENABLE_RECORDING", "true")
    port = free_port()
    store = s3_store(port, "compacted")
    embedded, table = open_lakehouse("deltalake", storage_options=store.options), f"{store.root}/t"
    with moto_server(port):
        embedded.ensure(table, SMALL)
        for number in range(8):
            embedded.append(table, lines({"n": number}), SMALL, transaction=transaction(number))
        assert embedded.upkeep(table).compacted_files == 8
    asked = [json.loads(line) for line in requests.read_text().splitlines()]
    files = [(one["method"], one["url"]) for one in asked if one["url"].endswith(".parquet")]
    assert any(method == "GET" for method, _ in files)
    assert [url for method, url in files if method == "HEAD" and "/part-" in url] == []


def test_of_processes_that_commit_the_same_batch_one_does(
    store: Store, embedded: Lakehouse, table: str
) -> None:
    """The store lets one commit of a version through, and the others find the batch there."""
    embedded.ensure(table, SMALL)
    source = """
        lakehouse = open_lakehouse(storage_options=json.loads(arguments[1]))
        spec, answer = spec_of(("n", "long", False), ("text", "string", True)), []
        for number in range(4):
            if number:
                wait_for_the_others()
            rows = lines({"n": number})
            commit = lakehouse.append(arguments[0], rows, spec, transaction=transaction(number))
            answer.append(commit.replayed)
    """
    replayed = race(source, table, json.dumps(dict(store.options)), rounds=4)
    assert [sorted(pair) for pair in zip(*replayed, strict=True)] == [[False, True]] * 4
    found = embedded.query("SELECT count(*), count(DISTINCT n) FROM t", {"t": table})
    assert found.rows == ((4, 4),)
    assert embedded.version(table) == 4


def test_two_machines_that_drain_at_once_lose_and_double_nothing(
    store: Store, embedded: Lakehouse, table: str, tmp_path: Path
) -> None:
    """Two journals, as on two machines, with a commit for every few records of each."""
    source = """
        import json
        options, journals, me = json.loads(arguments[0]), arguments[1], arguments[2]
        handler = DeltaHandler(table, storage_options=options, journal_directory=journals)
        logger.addHandler(handler)
        print("ready", flush=True)
        sys.stdin.readline()
        for commit in range(6):
            for number in range(5):
                logger.info(f"{me}-{commit}-{number}")
            assert handler.flush(60), handler.stats()
        logger.info(f"{me}-last")
    """
    options = json.dumps(dict(store.options))
    machines = [
        start_program(source, table, options, tmp_path / f"machine-{name}", name)
        for name in ("a", "b")
    ]
    for machine in machines:
        assert machine.stdout is not None
        assert machine.stdout.readline() == "ready\n"
    for machine in machines:
        assert machine.stdin is not None
        machine.stdin.write("\n")
        machine.stdin.flush()
    for machine in machines:
        _, err = machine.communicate(timeout=120)
        assert machine.returncode == 0, err
    assert embedded.query(EVENTS_COUNT, {"t": table}).rows == ((62, 62),)


def test_what_a_killed_process_left_is_drained_there(
    store: Store, embedded: Lakehouse, table: str
) -> None:
    """Its records are in the journal, whatever the store, and the next drain commits them."""
    source = """
        import json
        options = json.loads(arguments[0])
        logger.addHandler(
            DeltaHandler(table, storage_options=options, flush_interval_seconds=3600)
        )
        for number in range(5):
            logger.info(f"event {number}")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = start_program(source, table, json.dumps(dict(store.options)))
    killed.communicate(timeout=60)
    assert killed.returncode == -9
    assert not embedded.exists(table)
    assert drain_journals(table, storage_options=store.options).rows == 5
    assert embedded.query(EVENTS_COUNT, {"t": table}).rows == ((5, 5),)


def test_records_outlast_a_store_that_is_not_there(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """They stay journalled, a warning says what is wrong, and they land once it is there."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    port = free_port()
    store = s3_store(port, "folder")
    table = f"{store.root}/events"
    options = {**store.options, "max_retries": "0"}
    handler = attach(logger, table, storage_options=options)
    logger.info("kept")
    assert not handler.flush(timeout_seconds=3)
    stats = handler.stats()
    assert (stats.pending, stats.written) == (1, 0)
    told = [record.getMessage() for record in caplog.records if record.name == "spectra_logging"]
    assert len(told) == 1
    assert f"127.0.0.1:{port}" in told[0]
    assert "the records stay journalled" in told[0]
    assert "not-a-secret-key" not in told[0]
    with moto_server(port):
        assert handler.flush(timeout_seconds=60)
        found = open_lakehouse(storage_options=options).query(EVENTS_COUNT, {"t": table})
        assert found.rows == ((1, 1),)
        logger.removeHandler(handler)
        handler.close()


def test_a_store_s_refusal_is_told_once_whatever_its_answer_is_numbered(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """S3 puts ids of its own into each answer, made of any letters."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    port = free_port()
    options = s3_store(port, "").options
    with moto_server(port):
        handler = attach(
            logger,
            "s3://no-such-bucket/log",
            storage_options=options,
            shutdown_timeout_seconds=0.1,
        )
        logger.info("kept")
        answers = set[str | None]()

        def has_answered_often() -> bool:
            assert not handler.flush(timeout_seconds=0.1)
            answers.add(handler.stats().last_error)
            return len(answers - {None}) >= 4

        wait_until(has_answered_often)
        told = [record.getMessage() for record in caplog.records if "s3://" in record.getMessage()]
        assert len(told) == 1
        assert "<Code>NoSuchBucket</Code>" in told[0]
        logger.removeHandler(handler)
        handler.close()


@pytest.mark.parametrize("name", ["aws_conditional_put", "AWS_CONDITIONAL_PUT", "conditional_put"])
def test_what_makes_s3_unsafe_is_refused(name: str) -> None:
    """Without conditional writes the last of two commits would win, so that is no option."""
    with pytest.raises(ConfigurationError, match=rf"storage_options\['{name}'\]='disabled'"):
        open_lakehouse(storage_options={name: "disabled"})


def test_a_store_that_fails_is_no_damaged_table() -> None:
    """Its data can't be had now, and is none the worse for it: a validation is to say so."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    port = free_port()
    table = f"{s3_store(port, 'fails').root}/t"
    with moto_server(port), failing_front(port, "GET", r"part-.*parquet", "503 SlowDown") as front:
        sound = open_lakehouse("deltalake", storage_options=s3_store(port, "").options)
        sound.ensure(table, SMALL)
        sound.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        options = {**s3_store(front, "").options, "max_retries": "0"}
        failing = open_lakehouse("deltalake", storage_options=options)
        assert failing.version(table) == 1
        with pytest.raises(TableUnavailableError, match="503"):
            failing.query("SELECT sum(n) FROM t", {"t": table})


def test_a_token_that_is_over_is_a_denial(logger: logging.Logger) -> None:
    """S3 says so by 400, where others say 401 or 403."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    port = free_port()
    with moto_server(port), failing_front(port, "GET", "", "400 ExpiredToken") as front:
        denied = open_lakehouse("deltalake", storage_options=s3_store(front, "").options)
        with pytest.raises(TableForbiddenError, match="ExpiredToken"):
            denied.exists("s3://bucket/log")
        handler = attach(logger, "s3://bucket/log", storage_options=s3_store(front, "").options)
        logger.error("kept")
        wait_until(lambda: "denies access" in str(handler.stats().last_error))
        handler.renew_storage_options(s3_store(port, "").options)
        assert handler.flush(timeout_seconds=60)
        logger.removeHandler(handler)
        handler.close()


def test_a_commit_whose_answer_is_lost_is_not_made_twice() -> None:
    """The store has it and nobody says so: who tries again finds it there."""
    if reason := missing_for("s3"):
        pytest.skip(reason)
    port = free_port()
    table = f"{s3_store(port, 'lost').root}/t"
    with moto_server(port), failing_front(port, "PUT", r"_delta_log/0*1\.json", "lost") as front:
        sound = open_lakehouse("deltalake", storage_options=s3_store(port, "").options)
        sound.ensure(table, SMALL)
        options = {**s3_store(front, "").options, "max_retries": "1"}
        failing = open_lakehouse("deltalake", storage_options=options)
        with pytest.raises(TableUnavailableError):
            failing.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        again = failing.append(table, lines({"n": 1}), SMALL, transaction=transaction(1))
        assert (again.version, again.replayed) == (1, True)
        assert sound.query("SELECT count(*) FROM t", {"t": table}).rows == ((1,),)


def test_an_unreachable_store_is_no_missing_table() -> None:
    """Nothing is made anew because a store did not answer."""
    options = {**s3_store(1, "").options, "max_retries": "0"}
    with pytest.raises(TableUnavailableError, match="s3://bucket/log"):
        open_lakehouse(storage_options=options).exists("s3://bucket/log")
