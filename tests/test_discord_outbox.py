"""What waits for Discord: what folds, what goes back, and what there is room for."""

from __future__ import annotations

import logging

from spectra_logging.discord.notice import Notice
from spectra_logging.discord.outbox import Outbox


def outbox_of(*, max_records: int = 100, max_bytes: int = 1 << 20) -> Outbox:
    """An outbox whose storms last a minute."""
    return Outbox(
        storm_window_seconds=60,
        run_window_seconds=0,
        max_records=max_records,
        max_bytes=max_bytes,
        on_new=lambda _: None,
    )


def add(outbox: Outbox, text: str, level: int = logging.ERROR, created: float = 1.0) -> None:
    """Give the outbox a record."""
    record = logging.LogRecord("t", level, "", 0, text, (), None)
    record.created = created
    outbox.add(record)


def texts(notices: list[Notice]) -> list[str]:
    """What notices say."""
    return [notice.key.text for notice in notices]


def test_what_could_not_be_sent_is_not_taken_for_the_newest() -> None:
    """It is what came first, and tells of a cause: what came last makes room."""
    outbox = outbox_of(max_records=4)
    add(outbox, "first")
    add(outbox, "second")
    taken = outbox.take()
    add(outbox, "third")
    add(outbox, "fourth")
    outbox.give_back(taken)
    add(outbox, "fifth", logging.CRITICAL)
    add(outbox, "sixth", logging.CRITICAL)
    assert texts(outbox.take()) == ["fifth", "sixth", "first", "second"]


def test_what_could_not_be_sent_counts_what_came_of_its_kind_since() -> None:
    """It is one message then, and every record is accounted for."""
    outbox = outbox_of()
    add(outbox, "storm", created=1.0)
    taken = outbox.take()
    add(outbox, "storm", created=2.0)
    add(outbox, "storm", created=3.0)
    outbox.give_back(taken)
    (again,) = outbox.take()
    assert (again.count, again.created_at, again.last_at) == (3, 1.0, 3.0)
    outbox.settle([again], "delivered")
    figures = outbox.figures()
    assert (figures.emitted, figures.delivered, figures.pending) == (3, 3, 0)


def test_a_storm_is_remembered_while_other_messages_are_sent() -> None:
    """What was sent within the window is due at the window's end alone, whatever went between."""
    outbox = outbox_of()
    for text in ("storm", "another"):
        add(outbox, text)
        outbox.settle(outbox.take(), "delivered")
    assert outbox.take() == []
    add(outbox, "storm")
    assert outbox.take() == []
    outbox.hurry()
    (repeat,) = outbox.take()
    assert (repeat.key.text, repeat.is_repeat) == ("storm", True)


def test_a_notice_larger_than_all_the_room_is_sent_while_nothing_else_waits() -> None:
    """A bound that lets nothing through would hide what is wrong; the next one is counted."""
    outbox = outbox_of(max_bytes=1)
    add(outbox, "first")
    add(outbox, "second")
    assert texts(outbox.take()) == ["first"]
    assert outbox.figures().dropped == {"queue_full": 1}


def test_an_outbox_that_takes_no_more_gives_out_what_waits() -> None:
    """What comes then is counted for the reason that it was closed for first."""
    outbox = outbox_of()
    add(outbox, "before")
    outbox.take_no_more("shutdown")
    add(outbox, "after")
    assert texts(outbox.take()) == ["before"]
    assert outbox.close("webhook_gone") == 1
    add(outbox, "later")
    figures = outbox.figures()
    assert (figures.unknown, figures.dropped) == (1, {"shutdown": 2})


def test_what_was_sent_makes_room_however_often_it_waited() -> None:
    """Else a handler that has met many failures would take no record any more."""
    outbox = outbox_of(max_bytes=10_000)
    for number in range(100):
        add(outbox, f"storm {number}")
        taken = outbox.take()
        add(outbox, f"storm {number}")
        outbox.give_back(taken)
        outbox.settle(outbox.take(), "delivered")
    figures = outbox.figures()
    assert (figures.delivered, figures.dropped) == (200, {})
