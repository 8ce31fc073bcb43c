"""`configure()`: one call, and both kinds of loggers go the same way."""

from __future__ import annotations

import io
import json
import logging
import logging.config
from pathlib import Path

import pytest
import structlog

from spectra_logging import DeltaHandler, NotebookSession
from spectra_logging.config import configure, console_formatter, logging_config
from spectra_logging.errors import ConfigurationError
from spectra_logging.redaction import register_secret
from tests.tables import read_rows

pytestmark = pytest.mark.usefixtures("fresh_logging")


class Console:
    """What has been shown on stderr so far."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._shown = ""

    def getvalue(self) -> str:
        self._shown += self._capsys.readouterr().err
        return self._shown


@pytest.fixture
def console(capsys: pytest.CaptureFixture[str]) -> Console:
    """What the console shows."""
    return Console(capsys)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Where a table would be."""
    return str(tmp_path / "Tables" / "log" / "events")


def without_time(console: Console) -> list[str]:
    """The console's lines from the level on, with runs of blanks made one."""
    return [" ".join(line.split()[1:]) for line in console.getvalue().splitlines()]


def test_structlog_and_stdlib_lines_look_the_same(console: Console) -> None:
    """Time, level, message, logger, fields; context variables for both."""
    configure()
    structlog.contextvars.bind_contextvars(run="r1")
    structlog.get_logger("shop").info("sold %d", 3, entity="book")
    logging.getLogger("shop").info("sold %d", 3, extra={"entity": "book"})
    first, second = without_time(console)
    assert first == "[info ] sold 3 [shop] entity=book run=r1"
    assert sorted(second.split()) == sorted(first.split())


def test_fields_may_have_any_name(console: Console) -> None:
    """Names that the stdlib refuses as extras don't raise into the caller."""
    configure()
    structlog.get_logger("shop").info("sold", name="n", module="m", message="s", args=1, level="l")
    assert "name=n module=m message=s args=1" in console.getvalue()


def test_levels_hold_for_both_kinds_of_loggers(console: Console) -> None:
    """The root's level, and those of single loggers above and below it."""
    configure(level="WARNING", levels={"shop": "DEBUG", "noisy": "ERROR"})
    for get_logger in (structlog.get_logger, logging.getLogger):
        get_logger("shop").debug("shown")
        get_logger("other").info("hidden")
        get_logger("noisy.deep").warning("hidden")
    assert len([line for line in without_time(console) if "[shop]" in line]) == 2
    assert "hidden" not in console.getvalue()


def test_nothing_that_is_logged_raises_or_spills_on_stderr(console: Console) -> None:
    """Arguments that don't fit and objects that can't be shown are shown as far as they can be."""

    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    configure()
    for logger in (structlog.get_logger("shop"), logging.getLogger("shop")):
        logger.info("sold %d", "x")
    structlog.get_logger("shop").info("sold", item=Unshowable())
    logging.getLogger("shop").info("sold", extra={"item": Unshowable()})
    logging.getLogger("shop").info("sold %(item)s", {"item": "book"})
    assert len(without_time(console)) == 5
    assert "Logging error" not in console.getvalue()


def test_the_console_fills_in_arguments_as_the_record_s_class_does(console: Console) -> None:
    """As set by ``logging.setLogRecordFactory``; what does not fit is shown beside it."""

    class BraceRecord(logging.LogRecord):
        def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
            return str(self.msg).format(*self.args) if self.args else str(self.msg)

    configure()
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(BraceRecord)
    try:
        for message, *arguments in (("sold {}", 7), ("sold {}",), ("sold {} {}", 7)):
            logging.getLogger("shop").info(message, *arguments)
    finally:
        logging.setLogRecordFactory(factory)
    filled_in, bare, unfit = without_time(console)
    assert filled_in == "[info ] sold 7 [shop]"
    assert bare == "[info ] sold {} [shop]"
    assert unfit.startswith("[info ] sold {} {} [shop] args=(7,) logging_error=")


def test_the_console_shows_nothing_that_another_formatter_left_on_the_record(
    console: Console,
) -> None:
    """A handler of a logger of its own formats the record before the console does."""
    configure()
    own = logging.StreamHandler(io.StringIO())
    own.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("shop")
    logger.addHandler(own)
    try:
        logger.warning("sold %d", 3, extra={"entity": "book"})
    finally:
        logger.removeHandler(own)
    assert without_time(console) == ["[warning ] sold 3 [shop] entity=book"]


def test_the_console_shows_no_secret_in_a_logger_s_name(console: Console) -> None:
    """As no row does."""
    register_secret("hunter2000")
    configure()
    logging.getLogger("client.hunter2000").warning("connected")
    assert without_time(console) == ["[warning ] connected [client.***]"]


def test_the_console_shows_no_secret(console: Console) -> None:
    """In message, arguments, fields, nested fields, exception and cause; from either logger."""
    register_secret("hunter2000")
    configure()
    for logger, fields in (
        (structlog.get_logger("shop"), {"password": "pw-1", "deep": [{"token": "pw-2"}]}),
        (logging.getLogger("shop"), {"extra": {"password": "pw-1", "deep": [{"token": "pw-2"}]}}),
    ):
        logger.info("with %s and api_key=pw-3", "hunter2000", **fields)
        logger.info("wrong %d", "hunter2000")
        try:
            try:
                dict[str, str]()["hunter2000"]
            except KeyError as error:
                raise RuntimeError("Authorization: Bearer pw-4") from error
        except RuntimeError:
            logger.exception("failed")
    shown = console.getvalue()
    assert shown.count("RuntimeError: Authorization: ***") == 2
    for secret in ("hunter2000", "pw-1", "pw-2", "pw-3", "pw-4"):
        assert secret not in shown


def test_the_console_shows_a_session_s_rows_in_brief(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What happened, and how; not the three dozen columns that the table gets."""
    monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
    for name in ("SOURCE_SYSTEM", "SOURCE_NAME", "STAGE", "NOTEBOOK_NAME"):
        monkeypatch.setenv(name, "source")
    configure()
    with NotebookSession("anyVariables").load_context() as session:
        session.log_activity(entity_name="orders", row_count=3)
        assert session.record()
    activity, record = (
        line for line in without_time(console) if "[spectra_logging.activity]" in line
    )
    assert activity.startswith("[info ] activity [spectra_logging.activity] ")
    assert {"entity_name=orders", "row_count=3", "status=Success"} <= set(activity.split())
    assert "workspace_id" not in activity
    assert "record" in record
    assert read_rows(str(tmp_path / "Tables/log/sourcelog"))[0]["workspace_id"] == "local"


def test_the_console_shows_every_field_of_a_line_that_has_an_activity_id(console: Console) -> None:
    """Programs have activities of their own, and their lines are no session's rows."""
    configure()
    structlog.get_logger("rides").info("uploaded", activity_id=7, kilometres=42)
    logging.getLogger("fabric").info("ran", extra={"activity_id": "a-1", "workspace": "w"})
    uploaded, ran = without_time(console)
    assert uploaded.split()[-2:] == ["activity_id=7", "kilometres=42"]
    assert sorted(ran.split()[-2:]) == ["activity_id=a-1", "workspace=w"]


def test_without_a_console_nothing_is_printed(console: Console) -> None:
    """Only the table gets records then."""
    assert configure(console=False) is None
    logging.getLogger("shop").info("sold")
    assert console.getvalue() == ""


def test_without_a_stderr_there_is_no_console(monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    """As under pythonw, where the table is all there is; a formatter can be made all the same."""
    monkeypatch.setattr("sys.stderr", None)
    handler = configure(table=table)
    assert logging.getLogger().handlers == [handler]
    record = logging.makeLogRecord({"msg": "sold", "levelname": "INFO", "name": "shop"})
    assert "\x1b[" not in console_formatter().format(record)


def test_with_a_table_the_handler_is_returned(table: str, console: Console) -> None:
    """Its options are those of `DeltaHandler`, and rows of both loggers land in the table."""
    handler = configure(table=table, flush_interval_seconds=3600.0)
    assert isinstance(handler, DeltaHandler)
    structlog.get_logger("shop").info("sold", entity="book")
    logging.getLogger("shop").info("bought", extra={"entity": "book"})
    assert handler.flush()
    rows = read_rows(table)
    assert [(row["event"], json.loads(row["context"])) for row in rows] == [
        ("sold", {"entity": "book"}),
        ("bought", {"entity": "book"}),
    ]


def test_calling_it_again_replaces_and_doubles_nothing(tmp_path: Path, console: Console) -> None:
    """The old handler's rows are in its table; loggers in hand go the new way."""
    log = structlog.get_logger("shop")
    first = configure(table=str(tmp_path / "first"), flush_interval_seconds=3600.0)
    log.info("before")
    second = configure(table=str(tmp_path / "second"), level="DEBUG")
    log.debug("after")
    assert second.flush()
    assert first.stats().pending == 0
    assert [row["event"] for row in read_rows(tmp_path / "first")] == ["before"]
    assert [row["event"] for row in read_rows(tmp_path / "second")] == ["after"]
    assert len(logging.getLogger().handlers) == 2
    assert len([line for line in without_time(console) if "[shop]" in line]) == 2


def test_levels_of_single_loggers_end_with_the_call_that_set_them(console: Console) -> None:
    """They are what they were before, but for those that the program has set since."""
    quiet, chatty, own = (logging.getLogger(f"shop.{name}") for name in ("quiet", "chatty", "own"))
    chatty.setLevel("ERROR")
    levels = {"shop.quiet": "WARNING", "shop.chatty": "DEBUG", "shop.own": "DEBUG"}
    configure(levels=levels)
    own.setLevel("WARNING")
    configure(levels={"shop.quiet": "CRITICAL"})
    assert quiet.level == logging.CRITICAL
    configure()
    assert [logger.level for logger in (quiet, chatty, own)] == [
        logging.NOTSET,
        logging.ERROR,
        logging.WARNING,
    ]


def test_the_level_of_a_logger_is_all_that_changes_of_it(console: Console) -> None:
    """The handlers and levels that a program has given it, and loggers below it, stay."""
    shop, orders = logging.getLogger("shop"), logging.getLogger("shop.orders")
    of_shop, of_orders = logging.NullHandler(), logging.NullHandler()
    shop.addHandler(of_shop)
    orders.addHandler(of_orders)
    orders.setLevel("ERROR")
    orders.propagate = False
    try:
        for level in ("DEBUG", "WARNING"):
            configure(levels={"shop": level})
            assert shop.level == getattr(logging, level)
            assert shop.handlers == [of_shop]
            assert orders.handlers == [of_orders]
            assert (orders.level, orders.propagate) == (logging.ERROR, False)
    finally:
        shop.removeHandler(of_shop)
        orders.removeHandler(of_orders)
        orders.setLevel(logging.NOTSET)
        orders.propagate = True


def test_loggers_made_before_are_not_disabled(console: Console) -> None:
    """The default of dictConfig would silence every module imported earlier."""
    logger = logging.getLogger("tests.made_before")
    configure()
    logger.info("still here")
    assert "still here" in console.getvalue()


def test_capturing_for_tests_still_works(console: Console) -> None:
    """The test helper of structlog reaches loggers that are cached already."""
    configure()
    log = structlog.get_logger("shop")
    log.info("sold")
    configure()
    with structlog.testing.capture_logs() as captured:
        log.info("sold", entity="book")
    assert captured == [{"event": "sold", "entity": "book", "log_level": "info"}]


def test_the_mapping_is_plain_and_can_be_applied_by_hand(table: str, console: Console) -> None:
    """It survives JSON, and dictConfig builds the same handlers from it."""
    config = json.loads(json.dumps(logging_config(table=table, levels={"shop": "DEBUG"})))
    config["root"]["level"] = "ERROR"
    logging.config.dictConfig(config)
    logging.getLogger("shop").debug("sold")
    logging.getLogger("other").warning("hidden")
    delta, stream = logging.getLogger().handlers
    assert isinstance(delta, DeltaHandler)
    assert isinstance(stream, logging.StreamHandler)
    assert len(without_time(console)) == 1


def test_paths_become_text_in_the_mapping(tmp_path: Path) -> None:
    """Of the table and the journals alike, so that YAML and JSON can hold them."""
    config = logging_config(table=tmp_path / "events", journal_directory=tmp_path / "journals")
    delta = json.loads(json.dumps(config))["handlers"]["delta"]
    assert delta["table"] == f"{tmp_path}/events"
    assert delta["journal_directory"] == f"{tmp_path}/journals"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "LOUD"}, "level='LOUD'"),
        ({"levels": {"urllib3": "LOUD"}}, r"levels\['urllib3'\]='LOUD'"),
        ({"levels": {"": "INFO"}}, "level="),
        ({"levels": {"root": "DEBUG"}}, "'root' is no .* the root's level is set by level="),
        ({"levels": "INFO"}, "mapping of logger name to level"),
        ({"console": "yes"}, "console='yes'"),
        ({"tabel": "x"}, "tabel is no option"),
        ({"flush_interval_seconds": 1}, "give table= too"),
        ({"table": ""}, "table"),
        ({"table": 5}, "table=5"),
        ({"table": "Tables/log/x", "when_full": "explode"}, "when_full='explode'"),
        ({"table": "Tables/log/x", "spec": "nothing"}, "spec='nothing'"),
    ],
)
def test_nonsense_is_refused_by_name(
    options: dict[str, object], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a ConfigurationError that names the option, not as dictConfig's riddle."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        configure(**options)  # type: ignore[call-overload]


def test_colours_can_be_asked_for() -> None:
    """For a handler of one's own; the default looks at the terminal."""
    record = logging.makeLogRecord({"msg": "sold", "levelname": "INFO", "name": "shop"})
    assert "\x1b[" in console_formatter(colors=True).format(record)
    assert "\x1b[" not in console_formatter(colors=False).format(record)
