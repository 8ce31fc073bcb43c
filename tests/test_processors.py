"""The structlog processors, one by one."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
import structlog

from spectra_logging.active import current_trace_ids
from spectra_logging.processors import (
    add_record_origin,
    add_trace_ids,
    fill_in_arguments,
    redact,
    resolve_exc_info,
)
from spectra_logging.redaction import register_secret


def test_redact_scrubs_event_and_fields() -> None:
    """Registered secrets anywhere, values under secret keys, and nothing else."""
    register_secret("hunter2000")
    event_dict = {
        "event": "logged in with hunter2000",
        "headers": {"Authorization": "Basic abc"},
        "api_key": 5,
        "key_column": "id",
    }
    assert redact(None, "info", event_dict) == {
        "event": "logged in with ***",
        "headers": {"Authorization": "***"},
        "api_key": "***",
        "key_column": "id",
    }


def test_redact_leaves_what_structlog_needs() -> None:
    """The record and a pending exc_info stay the objects that later processors expect."""
    register_secret("hunter2000")
    error = ValueError("hunter2000")
    record = logging.makeLogRecord({"msg": "hunter2000"})
    event_dict = {"event": "e", "exc_info": (ValueError, error, None), "_record": record}
    redacted = redact(None, "info", event_dict)
    assert redacted["exc_info"][1] is error
    assert redacted["_record"] is record


def test_arguments_are_filled_in_as_by_the_stdlib() -> None:
    """Positional ones, and one mapping, whether structlog or a record brought it."""
    for arguments, expected in (
        ((1, "b"), "1 and b"),
        (({"a": 1, "b": 2},), "1 and 2"),
        ({"a": 1, "b": 2}, "1 and 2"),
    ):
        event = "%s and %s" if isinstance(arguments, tuple) and len(arguments) == 2 else ""
        event_dict = {"event": event or "%(a)s and %(b)s", "positional_args": arguments}
        assert fill_in_arguments(None, "info", event_dict) == {"event": expected}


@pytest.mark.parametrize(
    ("event", "arguments"), [("%d rows", ("x",)), ("one %s", (1, 2)), ("%(a)s", ({"b": 1},))]
)
def test_arguments_that_do_not_fit_are_kept_beside_the_event(
    event: str, arguments: tuple[object, ...]
) -> None:
    """Nothing raises into the caller, and nothing is lost."""
    filled = fill_in_arguments(None, "info", {"event": event, "positional_args": arguments})
    assert filled["event"] == event
    assert filled["args"] == arguments or (filled["args"],) == arguments
    assert filled["logging_error"].startswith(("TypeError", "KeyError"))


class UnshowableError(Exception):
    """An error that can't be shown, raised by an argument that can't either."""

    def __str__(self) -> str:
        raise self


def test_an_argument_whose_error_can_not_be_shown_raises_nothing() -> None:
    """The error's class is told all the same."""
    error = UnshowableError()
    filled = fill_in_arguments(None, "info", {"event": "got %s", "positional_args": (error,)})
    assert filled["event"] == "got %s"
    assert filled["args"] == (error,)
    assert filled["logging_error"].startswith("UnshowableError: <UnshowableError whose")


def test_exc_info_true_becomes_the_exception_being_handled() -> None:
    """And is then independent of the thread that looks at it."""
    error = ValueError("x")
    try:
        raise error
    except ValueError:
        for given in (True, 1, error, sys.exc_info()):
            resolved = resolve_exc_info(None, "error", {"event": "e", "exc_info": given})
            assert resolved["exc_info"][1] is error


@pytest.mark.parametrize("given", [True, False, None, (None, None, None)])
def test_exc_info_without_an_exception_goes(given: object) -> None:
    """No "NoneType: None" in the log."""
    assert resolve_exc_info(None, "info", {"event": "e", "exc_info": given}) == {"event": "e"}


def test_ids_of_the_active_span_are_added() -> None:
    """As the hex digits that tracing back ends show; ids of the caller's own win."""
    trace = pytest.importorskip("opentelemetry.sdk.trace", reason="needs opentelemetry-sdk")
    tracer = trace.TracerProvider().get_tracer("tests")
    with tracer.start_as_current_span("work") as span:
        context = span.get_span_context()
        ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        assert add_trace_ids(None, "info", {"event": "e"}) == {"event": "e", **ids}
        own = {"trace_id": "mine"}
        assert add_trace_ids(None, "info", own.copy()) == own, "the span is none of that trace"
        assert current_trace_ids() == (ids["trace_id"], ids["span_id"])
    assert current_trace_ids() is None
    assert add_trace_ids(None, "info", {"event": "e"}) == {"event": "e"}


def test_asking_for_trace_ids_never_imports_opentelemetry() -> None:
    """A process that doesn't trace doesn't pay for it."""
    code = (
        "import sys; from spectra_logging.active import current_trace_ids;"
        "assert current_trace_ids() is None;"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_origin_is_the_records_not_the_formatters() -> None:
    """A record formatted late shows when, how and by whom it was logged."""
    record = logging.makeLogRecord({"name": "shop", "levelname": "WARNING", "created": 1.5})
    event_dict: structlog.typing.EventDict = {"event": "e", "_record": record}
    added = add_record_origin(None, "info", event_dict)
    assert added["timestamp"] == "1970-01-01T00:00:01.500Z"
    assert added["level"] == "warning"
    assert added["logger"] == "shop"


@pytest.mark.parametrize("created", [None, "yesterday", float("nan"), 1e300, 1e15])
def test_a_record_of_no_moment_is_shown_as_of_now(created: object) -> None:
    """As ``makeLogRecord`` makes of what came over a network; the console must not lose it."""
    record = logging.makeLogRecord({"name": "shop", "levelname": "WARNING", "created": created})
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)
    added = add_record_origin(None, "info", {"event": "e", "_record": record})
    shown = datetime.fromisoformat(added["timestamp"].replace("Z", "+00:00"))
    assert before <= shown <= datetime.now(timezone.utc)
