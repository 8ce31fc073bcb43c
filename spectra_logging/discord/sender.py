"""The sender: one thread a webhook, which sends what the handlers for that webhook have."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

from spectra_logging.backoff import Backoff
from spectra_logging.discord.message import Appearance, build_message
from spectra_logging.discord.notice import Notice
from spectra_logging.discord.outbox import Outbox
from spectra_logging.discord.post import Answer, InDoubtError, NotSentError, Poster
from spectra_logging.discord.rate_limit import RateLimit
from spectra_logging.discord.webhook import Webhook
from spectra_logging.feedback import as_worker, log_from_worker
from spectra_logging.forks import at_fork
from spectra_logging.redaction import describe_error
from spectra_logging.stderr import tell
from spectra_logging.worker import POLL_SECONDS, Signal, Worker

__all__ = ["Channel", "Sender", "sender_for"]

MOST_ATTEMPTS = 5
"""How often a message is sent to a server that answers 502."""

IDLE_SECONDS = 3600.0

TOLD_SILENCE_SECONDS = 60.0
"""From how long a wait on is told: shorter ones are how Discord has everybody wait their turn."""

_UNKNOWN_CHANNEL = 10003
"""Discord's code for a thread that is not there; a webhook goes with the channel it is of."""


@dataclass(eq=False)
class Channel:
    """A handler's side of a sender.

    Args:
        outbox: What it has to send.
        appearance: How its messages look.
        request_timeout_seconds: How long a request may wait for its answer.
        messages: How many messages Discord took.
        last_error: What the last attempt failed with; ``None`` once one succeeds.
        is_told: Whether a problem was told that is not over.
    """

    outbox: Outbox
    appearance: Appearance
    request_timeout_seconds: float
    messages: int = 0
    last_error: str | None = None
    is_told: bool = False


class Sender:
    """Sends to one webhook from a background thread, as fast as Discord allows and no faster.

    Args:
        webhook: The webhook.
    """

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._worker = Worker(f"spectra-logging-discord-{webhook.id}", self._round)
        self._channels: list[Channel] = []
        # What Discord says of when holds for a forked child as well.
        self._rate_limit = RateLimit()
        self._begin()

    def _begin(self) -> None:
        self._changed = Signal()
        self._rounds = threading.Lock()
        self._poster = Poster(self._webhook)
        self._backoff = Backoff()
        self._free_at_seconds = 0.0
        self._deadline: float | None = None

    def after_fork_in_child(self) -> None:
        """Begin anew: connections, waiters and failures are the parent's."""
        self._poster.forget_connections()
        self._begin()

    def attach(self, channel: Channel) -> None:
        """Serve a handler."""
        self._channels.append(channel)

    def detach(self, channel: Channel, timeout_seconds: float) -> None:
        """Serve a handler no more; the thread ends with the last one."""
        if channel in self._channels:
            self._channels.remove(channel)
        if not self._channels and self._worker.stop(timeout_seconds):
            self._poster.close()

    def see_to(self, notice: Notice) -> None:
        """Send what has come when it is due; returns at once."""
        self._worker.wake_by(max(notice.due_at_seconds, self._free_at_seconds))

    def deliver(self, channel: Channel, timeout_seconds: float) -> bool:
        """Send all that a channel has now, without waiting for windows to end.

        Returns:
            Whether nothing of it waits any more within the time-out.
        """
        deadline = time.monotonic() + timeout_seconds
        number = channel.outbox.hurry()
        if channel.outbox.is_settled(number):
            return True
        self._backoff.cut_short()
        if not self._worker.ensure_started():
            return self._deliver_here(channel, number, deadline)
        self._worker.wake()
        while not channel.outbox.is_settled(number):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._changed.wait(min(left, POLL_SECONDS))
        return True

    def _deliver_here(self, channel: Channel, number: int, deadline: float) -> bool:
        """Deliver from this thread, where Python starts no more: at the interpreter's exit."""
        # A thread that was told to stop may be in a round yet; or this very one, where a signal
        # handler flushes.
        left = min(max(deadline - time.monotonic(), 0.0), threading.TIMEOUT_MAX)
        rounds = self._rounds
        if not rounds.acquire(timeout=left):
            return False
        self._deadline = deadline
        try:
            with as_worker():
                while not channel.outbox.is_settled(number):
                    pause_seconds = min(self._send_due(), deadline - time.monotonic())
                    if time.monotonic() >= deadline:
                        return False
                    self._changed.wait(max(pause_seconds, 0.0))
            return True
        finally:
            self._deadline = None
            rounds.release()

    # -- on the thread -------------------------------------------------------------------------

    def _round(self) -> float:
        with self._rounds:
            return self._send_due()

    def _send_due(self) -> float:
        """Send one message of each channel that has one; returns the seconds until the next."""
        sent = False
        for channel in list(self._channels):
            pause_seconds = self._pause_seconds()
            if pause_seconds > 0:
                return pause_seconds
            notices = channel.outbox.take()
            if notices:
                sent = True
                self._send(channel, notices)
                self._changed.notify()
        if sent:
            return self._pause_seconds()
        due = [channel.outbox.seconds_until_due() for channel in list(self._channels)]
        return min((seconds for seconds in due if seconds is not None), default=IDLE_SECONDS)

    def _pause_seconds(self) -> float:
        pause_seconds = max(self._rate_limit.seconds_until_free(), self._backoff.seconds_left())
        self._free_at_seconds = time.monotonic() + pause_seconds
        return pause_seconds

    def _send(self, channel: Channel, notices: Sequence[Notice]) -> None:
        outbox = channel.outbox
        try:
            drops = outbox.untold_drops()
            message = build_message(notices, channel.appearance, drops)
            answer = self._poster.post(
                message, channel.appearance.thread_id, self._timeout_seconds(channel)
            )
        except NotSentError as error:
            self._tell_once(channel, str(error), "what waits is sent later")
            outbox.give_back(notices)
            self._backoff.fail()
        except InDoubtError as error:
            self._tell_once(channel, str(error), "the message may be posted or not")
            outbox.settle(notices, "unknown")
        except BaseException as error:
            outbox.settle(notices, "internal_error")
            channel.last_error = describe_error(error)
            tell(f"a message for Discord was dropped: {channel.last_error}")
            if not isinstance(error, Exception):
                raise
        else:
            self._rate_limit.note(*answer)
            self._take_answer(channel, notices, answer)
            if answer.is_success:
                outbox.note_told(drops)

    def _take_answer(self, channel: Channel, notices: Sequence[Notice], answer: Answer) -> None:
        outbox, status = channel.outbox, answer.status
        if answer.is_success:
            if channel.is_told:
                log_from_worker(logging.WARNING, "Discord takes messages again")
            channel.last_error, channel.is_told = None, False
            channel.messages += 1
            self._backoff.succeed()
            outbox.settle(notices, "delivered")
        elif status < 300:
            words = f"{answer.in_words}, and no answer of Discord's"
            self._tell_once(channel, words, "the message may be posted or not")
            outbox.settle(notices, "unknown")
        elif status == 429:
            silence_seconds = self._rate_limit.seconds_until_free()
            if silence_seconds > TOLD_SILENCE_SECONDS:
                minutes = round(silence_seconds / 60)
                self._tell_once(channel, answer.in_words, f"nothing is sent for {minutes} min")
            else:
                channel.last_error = answer.in_words
            outbox.give_back(notices)
        elif status in {401, 404}:
            channel.last_error = answer.in_words
            outbox.settle(notices, "failed")
            if answer.code == _UNKNOWN_CHANNEL and channel.appearance.thread_id is not None:
                self._give_up_thread(channel, answer)
            else:
                self._give_up(answer)
        elif status == 502:
            self._tell_once(channel, answer.in_words, "the message is sent again")
            self._try_again(outbox, notices)
        elif status >= 500:
            # The fault may have struck before or after the message was posted.
            self._tell_once(channel, answer.in_words, "the message may be posted or not")
            outbox.settle(notices, "unknown")
        else:
            self._tell_once(channel, answer.in_words, "the message is not sent again")
            outbox.settle(notices, "failed")

    def _tell_once(self, channel: Channel, problem: str, follows: str) -> None:
        """Say what went wrong and what follows, unless that is what was said last."""
        if problem != channel.last_error or not channel.is_told:
            channel.last_error, channel.is_told = problem, True
            told = f"Discord webhook {self._webhook.id}: {problem}; {follows}"
            log_from_worker(logging.WARNING, told)

    def _try_again(self, outbox: Outbox, notices: Sequence[Notice]) -> None:
        for notice in notices:
            notice.attempts += 1
        worn_out = [notice for notice in notices if notice.attempts >= MOST_ATTEMPTS]
        outbox.settle(worn_out, "unknown")
        outbox.give_back([notice for notice in notices if notice not in worn_out])
        self._backoff.fail()

    def _give_up(self, answer: Answer) -> None:
        """Stop for good: the webhook is not there, or not ours."""
        with _senders_lock:
            for identity, sender in list(_senders.items()):
                if sender is self:
                    del _senders[identity]
        lost = sum(channel.outbox.close("webhook_gone") for channel in list(self._channels))
        tell(
            f"Discord webhook {self._webhook.id} is switched off: "
            f"{answer.in_words}. {lost} more records were dropped. Set another webhook's URL."
        )

    def _give_up_thread(self, channel: Channel, answer: Answer) -> None:
        """Serve a handler no more whose thread is not there; others may post elsewhere."""
        lost = channel.outbox.close("webhook_gone")
        tell(
            f"Thread {channel.appearance.thread_id} of Discord webhook {self._webhook.id} is gone: "
            f"{answer.in_words}. {lost} more records were dropped. Name another thread."
        )

    def _timeout_seconds(self, channel: Channel) -> float:
        timeout_seconds = channel.request_timeout_seconds
        if self._deadline is not None:
            timeout_seconds = min(timeout_seconds, self._deadline - time.monotonic())
        return max(timeout_seconds, 0.05)


_senders: weakref.WeakValueDictionary[tuple[str, str, str], Sender] = weakref.WeakValueDictionary()
_senders_lock = threading.Lock()


def sender_for(webhook: Webhook) -> Sender:
    """The sender of a webhook: one a process, as rate limits are the webhook's."""
    identity = webhook.api_base_url, webhook.id, webhook.token
    with _senders_lock:
        sender = _senders.get(identity)
        if sender is None:
            sender = _senders[identity] = Sender(webhook)
        return sender


def _after_fork_in_child() -> None:
    global _senders_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _senders_lock = threading.Lock()
    for sender in list(_senders.values()):
        sender.after_fork_in_child()


at_fork(after_in_child=_after_fork_in_child)
