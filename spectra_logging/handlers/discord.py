"""``DiscordHandler``: critical events go to a Discord channel, and are never in the way."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import TypeGuard

from spectra_logging.activity import ACTIVITY_LOGGER, RECORD
from spectra_logging.discord import limits
from spectra_logging.discord.ledger import OutboxFigures
from spectra_logging.discord.message import Appearance
from spectra_logging.discord.outbox import Outbox
from spectra_logging.discord.sender import Channel, sender_for
from spectra_logging.discord.webhook import find_webhook
from spectra_logging.errors import ConfigurationError
from spectra_logging.feedback import is_from_worker
from spectra_logging.forks import catch_up_with_fork
from spectra_logging.handlers.background import BackgroundHandler, level_of
from spectra_logging.handlers.options import check_count, check_level, check_seconds
from spectra_logging.redaction import describe_error
from spectra_logging.stats import DiscordStats
from spectra_logging.stderr import tell
from spectra_logging.values import safe_text
from spectra_logging.variables import VariableLibrary

__all__ = ["DiscordHandler"]


class DiscordHandler(BackgroundHandler):
    """Posts log records to a Discord channel, without ever waiting for it.

    A log call keeps the record in bounded memory and returns; a background thread posts it. Equal
    records within a window become one message that counts them, and what a notebook session logs
    before it fails becomes part of the one message that tells of the failure. Discord is an alert
    and no archive: what is to last goes to a :class:`~spectra_logging.DeltaHandler` beside it.

    No log call raises, whatever it is given and whatever fails below. What becomes of the records
    is told by :meth:`stats`.

    The webhook is the first of these that is set: ``webhook_url``; ``secret``; the variables
    ``DISCORD_WEBHOOK_URL_<SOURCE_SYSTEM>`` and ``DISCORD_WEBHOOK_URL``, each looked up in the
    Variable Library, then in the environment. Without any, the handler is off.

    Args:
        webhook_url: The webhook's URL, or the address of a Key Vault secret that holds it.
        level: Lowest level to post, by name or number.
        variable_library: Name of the Fabric Variable Library to look in.
        source_system: Whose webhook to look for; by default the variable ``SOURCE_SYSTEM``.
        secret: The address of a Key Vault secret,
            ``https://<vault>.vault.azure.net/secrets/<name>``.
        username: The name that messages appear under, in place of the webhook's.
        avatar_url: The picture beside it, likewise.
        thread_id: The thread of the webhook's channel to post in.
        mention_role_id: The role to mention for errors; nobody else is ever mentioned.
        notify_success: Whether a run that succeeded is posted too, silently, whatever the level.
        storm_window_seconds: How long equal records are folded into one message.
        run_window_seconds: How long what a session logs waits for the session's end, to be told in
            the same message.
        queue_max_records: The most notices that wait; equal records are one notice.
        queue_max_bytes: About what they may take up.
        request_timeout_seconds: How long to wait for a connection, and for an answer.
        shutdown_timeout_seconds: How long :meth:`close`, and :meth:`flush` without a time-out of
            its own, wait for Discord.
        api_base_url: The API to talk to in place of Discord's: a test server, a proxy. By default
            the variable ``DISCORD_API_BASE_URL``, else Discord.

    Raises:
        ConfigurationError: An option holds nonsense, or the webhook is none; the message names it
            and never shows a webhook.
        VariableNotFoundError: Key Vault does not give the webhook out.
    """

    def __init__(
        self,
        webhook_url: str | None = None,
        *,
        level: int | str = "ERROR",
        variable_library: str | VariableLibrary | None = None,
        source_system: str | None = None,
        secret: str | None = None,
        username: str | None = None,
        avatar_url: str | None = None,
        thread_id: int | str | None = None,
        mention_role_id: int | str | None = None,
        notify_success: bool = False,
        storm_window_seconds: float = 60.0,
        run_window_seconds: float = 15.0,
        queue_max_records: int = 200,
        queue_max_bytes: int = 16 << 20,
        request_timeout_seconds: float = 10.0,
        shutdown_timeout_seconds: float = 10.0,
        api_base_url: str | None = None,
    ) -> None:
        self._level = check_level("level", level)
        if not isinstance(notify_success, bool):
            raise ConfigurationError(f"notify_success={notify_success!r} may be True or False")
        self._notify_success = notify_success
        appearance = Appearance(
            username=_check_username(username),
            avatar_url=_check_avatar(avatar_url),
            thread_id=_check_snowflake("thread_id", thread_id),
            mention_role_id=_check_snowflake("mention_role_id", mention_role_id),
        )
        check_seconds("shutdown_timeout_seconds", shutdown_timeout_seconds)
        storm_window_seconds = check_seconds("storm_window_seconds", storm_window_seconds)
        run_window_seconds = check_seconds("run_window_seconds", run_window_seconds)
        max_records = check_count("queue_max_records", queue_max_records, least=1)
        max_bytes = check_count("queue_max_bytes", queue_max_bytes, least=1 << 16)
        request_timeout_seconds = check_seconds(
            "request_timeout_seconds", request_timeout_seconds, more_than_zero=True
        )
        if variable_library is not None and not isinstance(variable_library, VariableLibrary):
            variable_library = VariableLibrary(variable_library)
        webhook = find_webhook(
            webhook_url=webhook_url,
            secret=secret,
            variables=variable_library,
            source_system=source_system,
            api_base_url=api_base_url,
        )
        if webhook and appearance.thread_id is None:
            # The sender doesn't know it: its handlers' URLs may each name a thread of their own.
            appearance = dataclasses.replace(appearance, thread_id=webhook.thread_id)
        self._sender = sender_for(webhook) if webhook else None
        self._channel = Channel(
            outbox=Outbox(
                storm_window_seconds=storm_window_seconds,
                run_window_seconds=run_window_seconds,
                max_records=max_records,
                max_bytes=max_bytes,
                on_new=self._sender.see_to if self._sender else lambda _: None,
            ),
            appearance=appearance,
            request_timeout_seconds=request_timeout_seconds,
        )
        self._outbox = self._channel.outbox
        if self._sender is None:
            self._outbox.close("off")
        else:
            self._sender.attach(self._channel)
        self._webhook_id = webhook.id if webhook else None
        super().__init__(self._lowest_level(), shutdown_timeout_seconds)

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - logging's name
        """Set the lowest level to post; runs that succeeded pass if they are to."""
        self._level = check_level("level", level)
        super().setLevel(self._lowest_level())

    def _lowest_level(self) -> int:
        return min(self._level, logging.INFO) if self._notify_success else self._level

    @property
    def is_on(self) -> bool:
        """Whether records are sent: there is a webhook, and Discord has not refused it."""
        return self._sender is not None and self._outbox.closed_for is None

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called, as ``dictConfig`` does with all handlers there are."""
        return self._outbox.closed_for == "shutdown"

    # -- logging -----------------------------------------------------------------------------

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record for Discord; takes microseconds, whatever Discord does."""
        if not isinstance(record.levelno, int):
            record = logging.makeLogRecord({**vars(record), "levelno": level_of(record)})
        if record.levelno < self._level and not _is_end_of_run(record):
            return
        catch_up_with_fork()
        if is_from_worker(record):
            # What our own thread and the HTTP client below it log would feed us with ourselves.
            self._outbox.count_dropped("own_thread")
            return
        try:
            self._outbox.add(record)
        except Exception as error:  # noqa: BLE001 - a log call must not raise
            tell(f"a record was not taken for Discord: {describe_error(error)}")

    def flush(self, timeout_seconds: float | None = None) -> bool:  # type: ignore[override]
        """Post all that waits now, without waiting for the end of a storm or a session.

        Args:
            timeout_seconds: How long to wait for Discord; by default ``shutdown_timeout_seconds``.

        Returns:
            Whether Discord took every record emitted so far that this call found waiting.
        """
        before = self._outbox.figures()
        settled = super().flush(timeout_seconds)
        return settled and (self._sender is None or _lost(before) == _lost(self._outbox.figures()))

    def _deliver(self, timeout_seconds: float | None) -> bool:
        # What is lost has been waited for: that is no reason for close() to give up the rest.
        if self._sender is None:
            return True
        if timeout_seconds is None:
            timeout_seconds = self._shutdown_timeout_seconds
        return self._sender.deliver(self._channel, timeout_seconds)

    def close(self) -> None:
        """Flush and end the background thread, both within the shutdown time-out.

        What could not be posted by then is given up, and told on stderr.
        """
        super().close()

    def _end(self, timeout_seconds: float) -> None:
        was_on = self.is_on
        deadline = time.monotonic() + timeout_seconds
        self._outbox.take_no_more("shutdown")
        if self._sender is not None and timeout_seconds > 0:
            # What other threads have logged while what came before was flushed.
            self._sender.deliver(self._channel, timeout_seconds)
        given_up = self._outbox.close("shutdown")
        if self._sender is not None:
            self._sender.detach(self._channel, deadline - time.monotonic())
        if given_up and was_on:
            problem = self._channel.last_error
            tell(
                f"{given_up} records were not posted to Discord webhook "
                f"{self._webhook_id} in time" + (f" ({problem})" if problem else "")
            )

    def stats(self) -> DiscordStats:
        """What became of the records that this process gave the handler."""
        figures = self._outbox.figures()
        return DiscordStats(
            emitted=figures.emitted,
            delivered=figures.delivered,
            pending=figures.pending,
            unknown=figures.unknown,
            failed=figures.failed,
            dropped=figures.dropped,
            messages=self._channel.messages,
            webhook_id=self._webhook_id,
            is_on=self.is_on,
            last_error=self._channel.last_error,
        )

    def _after_fork_in_child(self) -> None:
        super()._after_fork_in_child()
        closed_for = self._outbox.closed_for
        self._outbox.begin()
        if closed_for is not None:
            self._outbox.close(closed_for)
        self._channel.messages, self._channel.last_error = 0, None
        self._channel.is_told = False

    def __repr__(self) -> str:
        where = f"webhook {self._webhook_id}" if self._webhook_id else "off"
        return f"<{type(self).__name__} {where} ({logging.getLevelName(self._level)})>"


def _is_end_of_run(record: logging.LogRecord) -> bool:
    return record.name == ACTIVITY_LOGGER and record.msg == RECORD


def _lost(figures: OutboxFigures) -> int:
    """Records that will not arrive, or may not; what our own thread logs is nobody's."""
    dropped = sum(count for reason, count in figures.dropped.items() if reason != "own_thread")
    return figures.unknown + figures.failed + dropped


def _check_snowflake(option: str, value: int | str | None) -> str | None:
    """One of Discord's ids, as text: as numbers they outgrow what JSON's readers hold exactly."""
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise ConfigurationError(
            f"{option}={value!r} must be one of Discord's ids, a number of up to 20 digits "
            "(Developer Mode on, then Copy ID)"
        )
    return text


def _check_username(username: str | None) -> str | None:
    if username is None:
        return None
    words = [word for word in limits.FORBIDDEN_IN_USERNAME if word in str(username).lower()]
    if not _is_text(username) or not username.strip() or words:
        raise ConfigurationError(
            f"username={username!r} must be text that does not hold "
            f"{' or '.join(limits.FORBIDDEN_IN_USERNAME)}; Discord refuses others"
        )
    if len(username) > limits.USERNAME_MAX:
        raise ConfigurationError(
            f"username={username!r} must be at most {limits.USERNAME_MAX} characters"
        )
    return username


def _is_text(value: object) -> TypeGuard[str]:
    """Whether it is text that can be sent: half a pair of surrogates has no encoding."""
    return isinstance(value, str) and safe_text(value) == value


def _check_avatar(avatar_url: str | None) -> str | None:
    usable = _is_text(avatar_url) and avatar_url.startswith(("https://", "http://"))
    if avatar_url is not None and not (usable and len(avatar_url) <= limits.AVATAR_URL_MAX):
        raise ConfigurationError(
            f"avatar_url={avatar_url!r} must be the address of a picture, https://…, of at most "
            f"{limits.AVATAR_URL_MAX} characters"
        )
    return avatar_url
