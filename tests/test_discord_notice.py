"""A notice says what was so when its record was logged, whenever it is read."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from opentelemetry import trace

from spectra_logging.discord.events import read_row
from spectra_logging.discord.notice import Notice, bound_fields, freeze, key_of
from spectra_logging.exc_info import exc_info_triple
from spectra_logging.redaction import register_secret

Change = Callable[[logging.LogRecord], object]

SPAN = trace.NonRecordingSpan(
    trace.SpanContext(
        trace_id=0xABC, span_id=0xDEF, is_remote=False, trace_flags=trace.TraceFlags(1)
    )
)


def record(message: Any = "order %d was refused", *args: Any, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("shop", logging.ERROR, "/srv/app.py", 7, message, args, None, "load")
    made.__dict__.update(extra)
    return made


def notice(made: logging.LogRecord) -> Notice:
    bound, exc_info = bound_fields(), exc_info_triple(made.exc_info)
    return freeze(made, key_of(made, bound, exc_info), bound, exc_info)


class Customer:
    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


@pytest.mark.parametrize(
    ("made", "change"),
    [
        (record("sold", n=1), lambda made: made.__dict__.update(n=2, msg="bought")),
        (record("sold", items=["a"]), lambda made: made.__dict__["items"].append("b")),
        (record("sold", item={"a": 1}), lambda made: made.__dict__["item"].clear()),
        (record("sold to %s", Customer("x")), lambda made: setattr(made.args[0], "name", "y")),
        (record("sold %s", ["a"]), lambda made: made.args[0].append("b")),
        (record("sold %(n)s", {"n": [1]}), lambda made: made.args["n"].append(2)),
        (record(Customer("sold to x")), lambda made: setattr(made.msg, "name", "y")),
        (record({"event": "sold", "n": 1}, _name="error"), lambda made: made.msg.clear()),
    ],
)
def test_what_the_caller_changes_later_changes_nothing(
    made: logging.LogRecord, change: Change
) -> None:
    """A notice says what was so when it was logged, whatever of the record is another since."""
    said = read_row(notice(made))
    frozen = notice(made)
    change(made)
    assert read_row(frozen) == said


@pytest.mark.parametrize(
    "made",
    [
        record("order %d was refused by %s", 7, "shop", customer="c-1", amount=1.5, paid=None),
        record("order %d was refused", "seven"),
        record("100 %"),
        record("sold", token="abc", recorded_at="yesterday", line=8, execution_id="run-1"),
        record("sold \ud800\0", note="\ud800"),
    ],
)
def test_a_row_made_later_says_what_one_made_at_once_does(made: logging.LogRecord) -> None:
    """When a row is encoded is a matter of time alone."""
    later = notice(made)
    made.__dict__["to_be_frozen_at_once"] = []
    at_once = notice(made)
    assert isinstance(later.said, dict)
    assert isinstance(at_once.said, bytes)
    assert read_row(later) == {
        name: value for name, value in read_row(at_once).items() if name != "to_be_frozen_at_once"
    }


@pytest.mark.parametrize("extra", [{}, {"tags": ["a"]}], ids=["made later", "made at once"])
def test_what_was_bound_is_told_and_what_is_bound_when_it_is_sent_is_not(
    extra: dict[str, Any],
) -> None:
    """Of context variables and of the span; what the call itself was given comes first."""

    def log() -> Notice:
        structlog.contextvars.bind_contextvars(stage="Source", customer="bound", execution_id="run")
        with trace.use_span(SPAN):
            return notice(record("sold", customer="given", **extra))

    frozen = contextvars.Context().run(log)

    def send() -> dict[str, Any]:
        structlog.contextvars.bind_contextvars(stage="Prepare", sender="the one that sends")
        return read_row(frozen)

    row = contextvars.Context().run(send)
    assert (row["stage"], row["customer"], row["execution_id"]) == ("Source", "given", "run")
    assert (row["trace_id"], row["span_id"]) == (f"{0xABC:032x}", f"{0xDEF:016x}")
    assert "sender" not in row


def test_what_is_bound_under_the_name_of_a_record_s_attribute_is_told_too() -> None:
    """As a field, beside the record's own."""

    def log() -> Notice:
        structlog.contextvars.bind_contextvars(name="of the order", stage="Source")
        return notice(record("sold"))

    row = read_row(contextvars.Context().run(log))
    assert (row["name"], row["stage"], row["logger"]) == ("of the order", "Source", "shop")


def test_a_secret_registered_before_it_is_sent_is_in_no_row() -> None:
    """It was logged before anybody knew that it is one."""
    frozen = notice(record("the key is %s", "correct-horse", key_id="correct-horse"))
    register_secret("correct-horse")
    assert "correct-horse" not in str(read_row(frozen))


def test_the_program_s_own_record_factory_is_asked_for_nothing_more() -> None:
    """It may count records, or be slow: the record is there already."""
    made = [record("sold", n=1), record("sold", tags=["a"])]
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(lambda *_, **__: pytest.fail("asked"))
    try:
        for each in made:
            assert read_row(notice(each))["event"] == "sold"
    finally:
        logging.setLogRecordFactory(factory)


class BraceRecord(logging.LogRecord):
    """A record whose arguments are filled in as by ``str.format``."""

    def getMessage(self) -> str:  # noqa: N802 - the stdlib's name
        return str(self.msg).format(*(self.args or ()))


def test_a_record_class_with_its_own_way_of_arguments_has_its_say() -> None:
    """As set by ``logging.setLogRecordFactory``; other arguments are another thing said."""

    def brace(message: str, *args: object, **extra: object) -> logging.LogRecord:
        made = BraceRecord("shop", logging.ERROR, "/srv/app.py", 7, message, args, None)
        made.__dict__.update(extra)
        return made

    for made in (brace("{{sold}}"), brace("sold {}", 7), brace("sold {}", 7, tags=["a"])):
        row = read_row(notice(made))
        assert row["event"] == made.getMessage()
        assert "logging_error" not in row
    assert notice(brace("sold {}", 7)).key != notice(brace("sold {}", 8)).key
    failed = read_row(notice(brace("sold {}")))
    assert (failed["event"], failed["logging_error"][:10]) == ("sold {}", "IndexError")


def test_a_long_text_takes_up_room_wherever_it_stands() -> None:
    """In message, arguments, extras and stack: by its size the queue is bounded."""
    long = "x" * 10_000
    assert notice(record("sold")).size < len(long)
    with_stack = record("sold")
    with_stack.stack_info = long
    for made in (record(long), record("sold %s", long), record("sold", note=long), with_stack):
        assert notice(made).size > len(long)
