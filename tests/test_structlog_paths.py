"""Every way from a logger to the table: structlog in its usual set-ups, the stdlib, and queues.

Each test reads its rows back from a real Delta table.
"""

from __future__ import annotations

import io
import json
import logging
import logging.handlers
import queue
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.stdlib import ProcessorFormatter

from spectra_logging import DeltaHandler
from spectra_logging.config import configure
from spectra_logging.redaction import RedactionFilter, register_secret
from tests.tables import read_rows

pytestmark = pytest.mark.usefixtures("fresh_logging")


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Where a table would be."""
    return str(tmp_path / "Tables" / "log" / "events")


@pytest.fixture
def delta(table: str) -> Iterator[DeltaHandler]:
    """A handler that commits when it is flushed, on no logger yet."""
    handler = DeltaHandler(table, flush_interval_seconds=3600.0, flush_level="CRITICAL")
    yield handler
    handler.close()


@pytest.fixture
def rows(delta: DeltaHandler) -> Callable[[], list[dict[str, Any]]]:
    """Reads what is in the table, with the context taken apart."""

    def read() -> list[dict[str, Any]]:
        assert delta.flush()
        found = read_rows(delta.table)
        for row in found:
            row["context"] = json.loads(row["context"] or "{}")
        return found

    return read


def use_root(*handlers: logging.Handler) -> None:
    """Put handlers on the root logger, in this order, in place of pytest's own."""
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.handlers[:] = handlers


def use_structlog(*processors: structlog.typing.Processor) -> Any:
    """A structlog set-up as its documentation shows, and a logger of it."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *processors],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return structlog.get_logger("shop.by_structlog")


RENDERERS = pytest.mark.parametrize(
    "renderer",
    [structlog.stdlib.render_to_log_kwargs, ProcessorFormatter.wrap_for_formatter],
    ids=["render_to_log_kwargs", "wrap_for_formatter"],
)


def fail() -> None:
    """Raise an error that has a cause."""
    try:
        dict[str, str]()["book"]
    except KeyError as error:
        raise ValueError("no such book") from error


# -- structlog's own set-ups -----------------------------------------------------------------


def test_configure_sends_every_field_of_both_loggers_to_the_table(table: str) -> None:
    """Columns, nested fields, context variables, exception, caller; no field lost or renamed."""
    handler = configure(table=table, console=False, flush_interval_seconds=3600.0)
    structlog.contextvars.bind_contextvars(execution_id="nb_1", run=7)
    structlog.get_logger("shop").bind(a=1).warning("sold %d", 3, b={"c": [1]}, name="n", module="m")
    logging.getLogger("shop").warning("sold %d", 3, extra={"a": 1, "b": {"c": [1]}})
    try:
        fail()
    except ValueError:
        structlog.get_logger("shop").exception("failed")
    assert handler.flush()
    first, second, third = read_rows(table)
    fields = {"a": 1, "b": {"c": [1]}, "run": 7}
    for row in (first, second):
        assert (row["event"], row["level"], row["logger"]) == ("sold 3", "WARNING", "shop")
        assert row["execution_id"] == "nb_1"
        assert row["module"] == "test_structlog_paths"
        assert row["function"].startswith("test_configure_sends")
        assert row["exception"] is None
    assert json.loads(second["context"]) == fields
    assert json.loads(first["context"]) == {**fields, "name": "n", "module": "m"}
    assert third["event"] == "failed"
    assert third["level"] == "ERROR"
    assert "KeyError: 'book'" in third["exception"]
    assert "ValueError: no such book" in third["exception"]


@RENDERERS
def test_fields_arrive_from_a_configuration_of_ones_own(
    renderer: structlog.typing.Processor,
    delta: DeltaHandler,
    rows: Callable[[], list[dict[str, Any]]],
) -> None:
    """What has a column goes there; level and logger that a processor added are not doubled."""
    use_root(delta)
    log = use_structlog(
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        renderer,
    )
    structlog.contextvars.bind_contextvars(run=7)
    log.bind(execution_id="nb_1").info("sold %d", 3, entity="book", price={"eur": 1.5})
    (row,) = rows()
    assert (row["event"], row["level"], row["logger"]) == ("sold 3", "INFO", "shop.by_structlog")
    assert row["execution_id"] == "nb_1"
    assert row["function"] == "test_fields_arrive_from_a_configuration_of_ones_own"
    assert row["context"] == {"run": 7, "entity": "book", "price": {"eur": 1.5}}


@RENDERERS
@pytest.mark.parametrize("how", ["True", "instance", "exception()", "triple"])
def test_exceptions_arrive_with_their_causes(
    renderer: structlog.typing.Processor,
    how: str,
    delta: DeltaHandler,
    rows: Callable[[], list[dict[str, Any]]],
) -> None:
    """`exc_info` in each spelling becomes the traceback in its column."""
    use_root(delta)
    log = use_structlog(renderer)
    try:
        fail()
    except ValueError as error:
        if how == "True":
            log.error("failed", exc_info=True)  # noqa: G201 - this spelling is the case
        elif how == "instance":
            log.error("failed", exc_info=error)
        elif how == "triple":
            log.error("failed", exc_info=(type(error), error, error.__traceback__))
        else:
            log.exception("failed")
    (row,) = rows()
    assert row["event"] == "failed"
    assert row["exception"].startswith("Traceback (most recent call last):")
    assert row["exception"].endswith("ValueError: no such book")
    assert "KeyError: 'book'" in row["exception"]
    assert row["context"] == {}


@RENDERERS
def test_a_stack_asked_for_arrives(
    renderer: structlog.typing.Processor,
    delta: DeltaHandler,
    rows: Callable[[], list[dict[str, Any]]],
) -> None:
    """`stack_info=True` without an exception; the stack stands where tracebacks stand."""
    use_root(delta)
    use_structlog(renderer).info("where", stack_info=True)
    (row,) = rows()
    assert row["event"] == "where"
    assert row["context"] == {}
    assert row["exception"].startswith("Stack (most recent call last):")
    assert 'info("where", stack_info=True)' in row["exception"]


@pytest.mark.parametrize("delta_first", [True, False])
def test_beside_a_second_formatter_both_see_the_original_record(
    delta_first: bool, delta: DeltaHandler, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """Native and foreign records, in either order of handlers: fields survive, lines are right."""
    shown = io.StringIO()
    stream = logging.StreamHandler(shown)
    stream.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.KeyValueRenderer(key_order=["event"]),
            ],
        )
    )
    use_root(*((delta, stream) if delta_first else (stream, delta)))
    log = use_structlog(ProcessorFormatter.wrap_for_formatter)
    log.info("native", entity="book", tags=["a"])
    logging.getLogger("shop").info("foreign %d", 1, extra={"entity": "pen"})
    assert shown.getvalue().splitlines() == [
        "event='native' entity='book' tags=['a']",
        "event='foreign 1' entity='pen'",
    ]
    assert [(row["event"], row["context"]) for row in rows()] == [
        ("native", {"entity": "book", "tags": ["a"]}),
        ("foreign 1", {"entity": "pen"}),
    ]


def test_the_handler_changes_no_record(delta: DeltaHandler) -> None:
    """A handler after it finds every attribute as it was."""
    register_secret("hunter2000")

    class Before(logging.Handler):
        seen: tuple[logging.LogRecord, dict[str, Any]]

        def emit(self, record: logging.LogRecord) -> None:
            self.seen = (record, dict(record.__dict__))

    before = Before()
    use_root(before, delta)
    try:
        fail()
    except ValueError:
        logging.getLogger("shop").exception("got %s", "hunter2000", extra={"token": "x"})
    record, attributes = before.seen
    assert record.__dict__ == attributes


def test_context_variables_arrive_for_plain_stdlib_calls(
    delta: DeltaHandler, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """Also where nobody has configured structlog; the call's own fields win."""
    use_root(delta)
    with structlog.contextvars.bound_contextvars(
        execution_id="nb_1", run=7, entity="bound", name="n", module="m"
    ):
        logging.getLogger("shop").info("sold", extra={"entity": "book"})
    logging.getLogger("shop").info("closed")
    sold, closed = rows()
    assert sold["execution_id"] == "nb_1"
    assert sold["context"] == {"entity": "book", "run": 7, "name": "n", "module": "m"}
    assert closed["execution_id"] is None
    assert closed["context"] == {}


# -- the stdlib ------------------------------------------------------------------------------


def test_an_extra_may_change_its_type_between_calls(
    delta: DeltaHandler, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """Neither call loses its value, nor does a column's neighbour."""
    use_root(delta)
    for value in (1, "one", 1.5, [1, "one"], {"n": 1}, None, True):
        logging.getLogger("shop").info("sold", extra={"amount": value, "execution_id": value})
    found = rows()
    assert [row["context"]["amount"] for row in found] == [
        1,
        "one",
        1.5,
        [1, "one"],
        {"n": 1},
        None,
        True,
    ]
    assert [row["execution_id"] for row in found] == [
        "1",
        "one",
        "1.5",
        '[1,"one"]',
        '{"n":1}',
        None,
        "true",
    ]


# -- queues and threads ----------------------------------------------------------------------


@pytest.fixture
def listener(delta: DeltaHandler) -> Iterator[logging.handlers.QueueHandler]:
    """A queue's entrance on the root logger, with the Delta handler at its other end."""
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    entrance = logging.handlers.QueueHandler(records)
    listener = logging.handlers.QueueListener(records, delta)
    listener.start()
    use_root(entrance)
    # Stopping waits until the queue is empty, so a test may stop it first; twice does no harm.
    entrance.stop = listener.stop  # type: ignore[attr-defined]
    yield entrance
    if listener._thread is not None:
        listener.stop()


def test_extras_and_exceptions_cross_a_queue(
    listener: Any, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """The stdlib's QueueHandler makes the traceback part of the message; nothing of it is lost."""
    try:
        fail()
    except ValueError:
        logging.getLogger("shop").exception("failed %d", 1, extra={"entity": "book"})
    listener.stop()
    (row,) = rows()
    assert row["context"] == {"entity": "book"}
    assert row["event"].startswith("failed 1\nTraceback")
    assert row["event"].endswith("ValueError: no such book")
    assert row["thread"] == "MainThread"


def test_what_configure_made_crosses_a_queue_field_by_field(
    table: str, delta: DeltaHandler, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """Event, fields, context variables and exception each arrive where they belong."""
    configure(console=False)
    records: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    use_root(logging.handlers.QueueHandler(records))
    listener = logging.handlers.QueueListener(records, delta)
    listener.start()
    structlog.contextvars.bind_contextvars(run=7)
    try:
        fail()
    except ValueError:
        structlog.get_logger("shop").exception("failed %d", 1, entity="book")
    structlog.contextvars.clear_contextvars()
    listener.stop()
    (row,) = rows()
    assert row["event"] == "failed 1"
    assert row["context"] == {"entity": "book", "run": 7}
    assert row["exception"].endswith("ValueError: no such book")


def test_a_wrapped_event_dict_crosses_a_queue(
    listener: Any, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """QueueHandler turns it into its repr, and the fields are read out of that again."""
    use_structlog(ProcessorFormatter.wrap_for_formatter).info("sold", entity="book", n=[1, None])
    listener.stop()
    (row,) = rows()
    assert row["event"] == "sold"
    assert row["context"] == {"entity": "book", "n": [1, None]}


def test_a_wrapped_event_dict_with_the_handled_exception_crosses_a_queue(
    listener: Any, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """QueueHandler puts the traceback behind the repr; each still arrives where it belongs."""
    log = use_structlog(ProcessorFormatter.wrap_for_formatter)
    try:
        fail()
    except ValueError:
        log.exception("failed", entity="book")
    listener.stop()
    (row,) = rows()
    assert row["event"] == "failed"
    assert row["context"] == {"entity": "book"}
    assert row["exception"].startswith("Traceback (most recent call last):")
    assert row["exception"].endswith("ValueError: no such book")


def test_a_wrapped_event_dict_with_an_exception_crosses_a_queue(
    listener: Any, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """Its repr can't be read back, since exceptions have no such text; the row holds it whole."""
    try:
        fail()
    except ValueError as error:
        use_structlog(ProcessorFormatter.wrap_for_formatter).info(
            "sold", entity="book", exc_info=error
        )
    listener.stop()
    (row,) = rows()
    assert "'entity': 'book'" in row["event"]
    assert "ValueError('no such book')" in row["event"]


# -- tracing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("logger", ["stdlib", "render_to_log_kwargs", "wrap_for_formatter"])
def test_ids_of_the_active_span_arrive(
    logger: str, delta: DeltaHandler, rows: Callable[[], list[dict[str, Any]]]
) -> None:
    """From every kind of logger, none after the span, and no span for a trace of the caller's."""
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
    use_root(delta)
    log = (
        logging.getLogger("shop")
        if logger == "stdlib"
        else use_structlog(
            structlog.stdlib.render_to_log_kwargs
            if logger == "render_to_log_kwargs"
            else ProcessorFormatter.wrap_for_formatter
        )
    )
    tracer = trace.TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("work") as span:
        log.info("inside")
        own = {"trace_id": "mine"}
        log.info("theirs", **({"extra": own} if logger == "stdlib" else own))
    log.info("outside")
    inside, theirs, outside = rows()
    context = span.get_span_context()
    assert inside["trace_id"] == f"{context.trace_id:032x}"
    assert inside["span_id"] == f"{context.span_id:016x}"
    assert (theirs["trace_id"], theirs["span_id"]) == ("mine", None)
    assert outside["trace_id"] is None
    assert inside["context"] == {}


# -- secrets ---------------------------------------------------------------------------------

SECRETS = ("hunter2000", "pw-1", "pw-2", "pw-3", "pw-4", "pw-5")


class Settings:
    """An object whose repr shows what it holds."""

    def __repr__(self) -> str:
        return "Settings(password='pw-5', user='hunter2000')"


def log_secrets(log: Any, *, structured: bool) -> None:
    """A registered secret and values under secret keys, everywhere a call can hold them."""
    fields = {
        "password": "pw-1",
        "deep": [{"api_token": "pw-2", "plain": "hunter2000"}, Settings()],
        "url": "https://me:pw-3@example.com/?api_key=pw-4",
        "execution_id": "hunter2000",
    }
    extra = fields if structured else {"extra": fields}
    log.info("with %s and token=pw-1", "hunter2000", **extra)
    log.info("wrong %d and token=pw-1", "hunter2000", **extra)
    try:
        try:
            dict[str, str]()["hunter2000"]
        except KeyError as error:
            raise RuntimeError("Authorization: Bearer pw-4") from error
    except RuntimeError:
        log.exception("failed", **extra)


def everything_below(folder: Path) -> bytes:
    """The bytes of every file."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("how", ["stdlib", "configure", "render_to_log_kwargs", "wrapped"])
def test_no_secret_reaches_journal_table_or_console(
    how: str,
    delta: DeltaHandler,
    rows: Callable[[], list[dict[str, Any]]],
    journals: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In message, arguments, extras at any depth, exception and cause, by every kind of logger."""
    register_secret("hunter2000")
    configure(console=True)
    (console,) = logging.getLogger().handlers
    use_root(console, delta)
    if how == "stdlib":
        log: Any = logging.getLogger("shop")
    elif how == "configure":
        log = structlog.get_logger("shop")
    else:
        structlog.reset_defaults()
        wrap = how == "wrapped"
        log = use_structlog(
            structlog.contextvars.merge_contextvars,
            *([] if wrap else [structlog.stdlib.PositionalArgumentsFormatter()]),
            ProcessorFormatter.wrap_for_formatter
            if wrap
            else structlog.stdlib.render_to_log_kwargs,
        )
    if how == "wrapped":
        # A chain of one's own has no redaction, so a console of one's own needs the filter.
        console.addFilter(RedactionFilter())
    if how == "render_to_log_kwargs":
        # structlog's own processor raises where arguments don't fit.
        with pytest.raises(TypeError):
            log_secrets(log, structured=True)
    else:
        log_secrets(log, structured=how != "stdlib")
    journal = everything_below(journals)
    found = json.dumps(rows(), default=str)
    shown = capsys.readouterr().err
    assert b"shop" in journal
    assert "***" in found
    assert "***" in shown
    for secret in SECRETS:
        assert secret.encode() not in journal
        assert secret not in found
        assert secret not in shown
    files = everything_below(Path(delta.table))
    assert all(secret.encode() not in files for secret in SECRETS)
    assert everything_below(journals).count(b"hunter2000") == 0
