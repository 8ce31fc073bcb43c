"""``DiscordHandler``: its options, how records fold, and what becomes of them."""

from __future__ import annotations

import logging
import logging.config
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from spectra_logging.discord.rate_limit import RateLimit
from spectra_logging.discord.webhook import API_BASE_URL, find_webhook, parse_webhook
from spectra_logging.errors import ConfigurationError, VariableNotFoundError
from spectra_logging.handlers.discord import DiscordHandler
from spectra_logging.testing import DiscordAnswer, FakeDiscord, FakeNotebookUtils
from tests.discords import TOKEN, balance, handler_for, posts, titles
from tests.programs import run_program, wait_until

URL = f"https://discord.com/api/webhooks/123/{TOKEN}"
VAULT = "https://example.vault.azure.net/"


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """A running Discord."""
    with FakeDiscord(token=TOKEN) as discord:
        yield discord


# -- the webhook ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        URL,
        f" {URL}/\n",
        URL.replace("discord.com", "discordapp.com"),
        URL.replace("discord.com", "ptb.discord.com"),
        URL.replace("discord.com", "canary.discord.com"),
        URL.replace("/api/", "/api/v6/"),
        f"{URL}?wait=true",
    ],
)
def test_every_form_of_a_webhook_s_url_is_rebuilt_for_one_version(url: str) -> None:
    """Whichever of Discord's hosts and versions it names, the current one is posted to."""
    webhook = parse_webhook("webhook_url", url)
    assert webhook.url == f"{API_BASE_URL}/webhooks/123/{TOKEN}"
    assert TOKEN not in repr(webhook)


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("https", "http"),
        URL.replace("discord.com", "discord.com.example.com"),
        URL.replace("discord.com", "example.com"),
        URL.replace("https://", "https://user@"),
        URL + "/slack",
        URL + "/github",
        URL + "?thread_id=x",
        URL + "?thread_id=\u0661\u0662",
        URL + "?something=else",
        URL.replace("/123/", "/\u0661\u0662/"),
        URL + "\u00f6",
        URL.replace("/123/", "/abc/"),
        "https://discord.com/api/webhooks/123",
        "not a URL",
        "https://[broken",
    ],
)
def test_a_url_that_is_no_webhook_is_refused_and_not_shown(url: str) -> None:
    """At construction, with what a webhook's URL looks like."""
    with pytest.raises(ConfigurationError, match="webhook_url is") as caught:
        DiscordHandler(url)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_thread_in_the_url_is_posted_to(discord: FakeDiscord, logger: logging.Logger) -> None:
    """And one that an option names goes before it."""
    for thread_id, thread in ((None, "42"), (43, "43")):
        handler = DiscordHandler(
            f"{discord.webhook_url}?thread_id=42",
            thread_id=thread_id,
            api_base_url=discord.api_base_url,
        )
        logger.addHandler(handler)
        logger.error("in a thread")
        assert handler.flush(30)
        logger.removeHandler(handler)
        handler.close()
        assert discord.messages[-1].query == {"wait": "true", "thread_id": thread}


def test_handlers_whose_urls_name_different_threads_each_post_in_theirs(
    discord: FakeDiscord,
) -> None:
    """Though one sender serves them, as they share the webhook."""
    handlers = {
        thread: DiscordHandler(
            discord.webhook_url + query, api_base_url=discord.api_base_url, username=thread
        )
        for thread, query in (("42", "?thread_id=42"), ("43", "?thread_id=43"), ("none", ""))
    }
    for handler in handlers.values():
        handler.handle(logging.LogRecord("t", 40, "", 0, "in a thread", (), None))
        assert handler.flush(30)
    posted = {m.payload["username"]: m.query.get("thread_id", "none") for m in discord.messages}
    assert posted == {thread: thread for thread in handlers}
    for handler in handlers.values():
        handler.close()


def test_a_thread_that_is_gone_switches_no_other_handler_off(
    discord: FakeDiscord, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of those with the same webhook; one line on stderr says which thread it is."""
    unknown = DiscordAnswer(status=404, body={"message": "Unknown Channel", "code": 10003})
    discord.first_answers.append(unknown)
    in_thread, in_channel = handler_for(discord, thread_id=42), handler_for(discord)
    for handler in (in_thread, in_channel, in_thread, in_channel):
        handler.handle(logging.LogRecord("t", 40, "", 0, "told", (), None))
        handler.flush(30)
    assert [request.status for request in discord.requests] == [404, 200, 200]
    stats = in_thread.stats()
    assert (stats.is_on, stats.failed, stats.dropped) == (False, 1, {"webhook_gone": 1})
    assert in_channel.stats().delivered == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Thread 42 of Discord webhook" in line
    assert "10003" in line
    in_thread.close()
    in_channel.close()


def test_the_environment_names_the_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source system's own before the general one."""
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", URL)
    assert DiscordHandler().stats().webhook_id == "123"
    monkeypatch.setenv("DISCORD_WEBHOOK_URL_MY_SYSTEM", URL.replace("123", "456"))
    assert DiscordHandler(source_system="my-system").stats().webhook_id == "456"
    monkeypatch.setenv("SOURCE_SYSTEM", "my-system\n")
    assert DiscordHandler().stats().webhook_id == "456"
    monkeypatch.setenv("SOURCE_SYSTEM", "my.system")
    assert DiscordHandler().stats().webhook_id == "456"


def test_an_api_that_a_variable_names_is_refused_by_the_variable_s_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has set it there knows of no option."""
    monkeypatch.setenv("DISCORD_API_BASE_URL", "discord.example.com")
    with pytest.raises(ConfigurationError, match="variable DISCORD_API_BASE_URL may be"):
        DiscordHandler(URL)
    assert not DiscordHandler().is_on


def test_the_variable_library_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is all that a dictConfig needs."""
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", URL)
    with FakeNotebookUtils(
        variables={"example": {"DISCORD_WEBHOOK_URL": URL.replace("123", "456")}}
    ):
        assert DiscordHandler(variable_library="example").stats().webhook_id == "456"


def test_key_vault_gives_the_webhook_out() -> None:
    """By the option secret, or wherever else its address stands."""
    address = f"{VAULT}secrets/hook"
    with FakeNotebookUtils(
        variables={"example": {"DISCORD_WEBHOOK_URL": address}}, secrets={VAULT: {"hook": URL}}
    ):
        assert DiscordHandler(secret=address).is_on
        assert DiscordHandler(address).is_on
        assert DiscordHandler(variable_library="example").is_on
        with pytest.raises(VariableNotFoundError, match="did not give out secret 'other'"):
            DiscordHandler(secret=f"{VAULT}secrets/other")
    with pytest.raises(ConfigurationError, match="only Fabric can fetch"):
        DiscordHandler(secret=address)
    with pytest.raises(ConfigurationError, match="give one of them"):
        DiscordHandler(URL, secret=address)
    with pytest.raises(ConfigurationError, match="must be the address of a Key Vault secret"):
        DiscordHandler(secret="hook")


def test_without_a_webhook_the_handler_is_off(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says nothing, starts no thread and counts what it was given."""
    assert find_webhook() is None
    handler = DiscordHandler()
    logger.addHandler(handler)
    before = threading.active_count()
    logger.error("nobody hears it")
    assert handler.flush(0)
    handler.close()
    assert threading.active_count() == before
    assert handler.stats().dropped == {"off": 1}
    assert not handler.stats().is_on
    assert capsys.readouterr() == ("", "")


# -- the options ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"level": "LOUD"}, "level='LOUD' is no log level"),
        ({"username": "discord bot"}, "username='discord bot' must be text that does not hold"),
        ({"username": "x" * 81}, "at most 80"),
        ({"username": "bot \ud83e"}, "must be text"),
        ({"avatar_url": "https://example.com/\ud83e.png"}, "must be the address"),
        ({"avatar_url": "picture.png"}, "avatar_url='picture.png' must be the address"),
        ({"thread_id": "general"}, "thread_id='general' must be one of Discord's ids"),
        ({"mention_role_id": True}, "mention_role_id=True must be"),
        ({"notify_success": "yes"}, "notify_success='yes' may be True or False"),
        ({"storm_window_seconds": -1}, "storm_window_seconds=-1 must be"),
        ({"run_window_seconds": "x"}, "run_window_seconds='x' must be"),
        ({"queue_max_records": 0}, "queue_max_records=0 must be a whole number, 1 or more"),
        ({"queue_max_bytes": 1.5}, "queue_max_bytes=1.5 must be"),
        ({"request_timeout_seconds": 0}, "request_timeout_seconds=0 must be"),
        ({"shutdown_timeout_seconds": None}, "shutdown_timeout_seconds=None must be"),
        ({"api_base_url": "discord.com"}, "api_base_url may be an address"),
        ({"webhook_url": ""}, "webhook_url must be text"),
        ({"webhook_url": None, "source_system": 5}, "source_system=5 must be"),
        ({"variable_library": 5}, "variable library name 5 must be"),
    ],
)
def test_an_option_that_can_not_work_is_refused_by_name(options: Any, words: str) -> None:
    """At construction, with what it may be."""
    with pytest.raises(ConfigurationError, match=words):
        DiscordHandler(**{"webhook_url": URL, **options})


def test_a_dict_config_of_plain_values_sets_all_of_it(discord: FakeDiscord) -> None:
    """Its level too, which dictConfig sets by itself."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {
                "discord": {
                    "class": "spectra_logging.DiscordHandler",
                    "level": "CRITICAL",
                    "webhook_url": discord.webhook_url,
                    "api_base_url": discord.api_base_url,
                    "username": "Night watch",
                    "avatar_url": "https://example.com/owl.png",
                    "mention_role_id": 42,
                    "notify_success": True,
                }
            },
            "loggers": {"tests.configured": {"handlers": ["discord"], "propagate": False}},
        }
    )
    logger = logging.getLogger("tests.configured")
    (handler,) = logger.handlers
    logger.error("not severe enough")
    logger.critical("severe")
    assert isinstance(handler, DiscordHandler)
    assert handler.flush(30)
    logger.removeHandler(handler)
    handler.close()
    (message,) = discord.messages
    assert message.payload["username"] == "Night watch"
    assert message.payload["avatar_url"] == "https://example.com/owl.png"
    assert message.payload["content"] == "<@&42>"
    assert message.headers["User-Agent"].startswith("DiscordBot (https://")
    assert repr(handler) == "<DiscordHandler webhook 100000000000000001 (CRITICAL)>"


# -- folding -------------------------------------------------------------------------------------


def test_equal_records_within_the_window_are_one_more_message(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """The first at once, the rest by number; each record counts as delivered."""
    handler = handler_for(discord, storm_window_seconds=1.0)
    logger.addHandler(handler)
    logger.error("again")
    assert discord.wait_for_messages(1)
    for _ in range(9):
        logger.error("again")
    assert discord.wait_for_messages(2)  # when the window ends, unasked
    assert titles(discord) == ["ERROR: again", "ERROR: again (×9 more)"]
    wait_until(lambda: handler.stats().delivered == 10)
    assert handler.stats().messages == 2


def test_what_differs_is_not_folded(discord: FakeDiscord, logger: logging.Logger) -> None:
    """Other words, another level or another exception are something else; addresses are not."""
    handler = handler_for(discord)
    logger.addHandler(handler)
    for words in ("a 1", "a 2", "a 2", "b at 0x7f00aa11", "b at 0x7f00bb22"):
        logger.error(words)
    logger.critical("a 1")
    for error in (ValueError("x"), ValueError("y"), KeyError("x")):
        logger.error("c", exc_info=error)
    assert handler.flush(30)
    told = sorted(titles(discord))
    assert handler.stats().delivered == 9
    assert [title for title in told if title.startswith("ERROR: c")] == ["ERROR: c"] * 3
    assert "CRITICAL: a 1" in told
    assert "ERROR: a 1" in told
    assert sum("a 2" in title for title in told) <= 2
    assert sum("b at" in title for title in told) <= 2


def test_the_most_severe_goes_first_and_takes_the_room(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """In a full queue a CRITICAL displaces the newest of the least severe, which is counted."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord, level="WARNING", queue_max_records=4)
    logger.addHandler(handler)
    logger.error("opens the connection")
    assert discord.wait_for(lambda discord: posts(discord) == 1, 30)
    for number in range(5):
        logger.warning("warning %d", number)
    logger.critical("fire")
    assert handler.stats().dropped == {"queue_full": 3}
    discord.let_go()
    assert handler.flush(30) is True
    assert titles(discord)[1:] == ["CRITICAL: fire", "WARNING: warning 0", "WARNING: warning 1"]
    assert discord.messages[1].payload["content"].startswith("3 more records were dropped")
    assert balance(handler) == 0


def test_the_queue_is_bounded_in_bytes(discord: FakeDiscord, logger: logging.Logger) -> None:
    """Large records fill it before many do."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord, queue_max_bytes=1 << 20)
    logger.addHandler(handler)
    logger.error("opens the connection")
    assert discord.wait_for(lambda discord: posts(discord) == 1, 30)
    for number in range(20):
        logger.error("%d %s", number, "x" * 100_000)
    assert handler.stats().pending <= 11
    discord.let_go()
    assert handler.flush(30)
    assert balance(handler) == 0


def test_a_session_s_lines_wait_for_its_end_but_not_forever(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """When the window has passed without a record of the run, they are told on their own."""
    handler = handler_for(discord, run_window_seconds=0.2)
    logger.addHandler(handler)
    logged_at = time.monotonic()
    logger.error("in a run", extra={"execution_id": "run-1"})
    assert discord.wait_for_messages(1)
    assert discord.messages[0].at_seconds - logged_at >= 0.2
    assert "Execution: run-1" in discord.messages[0].text


@pytest.mark.usefixtures("fresh_logging")
def test_records_of_structlog_are_told_with_their_fields(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """Also as an event dict that a formatter is to render, with its traceback as text."""
    handler = handler_for(discord)
    logger.addHandler(handler)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=lambda *_: logger,
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    structlog.contextvars.bind_contextvars(tenant="north")
    try:
        raise ValueError("no such order")  # noqa: TRY301 - it is to be logged here
    except ValueError:
        structlog.get_logger().exception("order refused", order=17)
    assert handler.flush(30)
    (message,) = discord.messages
    assert message.embeds[0]["title"] == "ERROR: order refused"
    assert "**ValueError** no such order" in message.embeds[0]["description"]
    assert "order: 17\ntenant: north" in message.text


# -- failures ------------------------------------------------------------------------------------


def test_a_busy_server_is_tried_again_and_not_forever(
    discord: FakeDiscord, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """502 comes from before the message was taken; after five of them it counts as unknown."""
    monkeypatch.setattr("spectra_logging.backoff.FIRST_PAUSE_SECONDS", 0.01)
    discord.first_answers += [DiscordAnswer(status=502, body="bad gateway")] * 6
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    assert (posts(discord), handler.stats().unknown) == (5, 1)
    assert "HTTP 502" in (handler.stats().last_error or "")
    logger.error("second")
    assert handler.flush(30)
    assert titles(discord) == ["ERROR: second"]


@pytest.mark.parametrize(("status", "kind"), [(400, "failed"), (403, "failed"), (500, "unknown")])
def test_what_discord_refuses_is_not_sent_again(
    discord: FakeDiscord, logger: logging.Logger, status: int, kind: str
) -> None:
    """The next message is another try: only 401 and 404 switch the handler off."""
    body = {"code": 50035, "message": "Invalid Form Body"}
    discord.first_answers.append(DiscordAnswer(status=status, body=body))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    assert getattr(handler.stats(), kind) == 1
    assert f"HTTP {status}, code 50035: Invalid Form Body" in str(handler.stats().last_error)
    logger.error("second")
    assert handler.flush(30)
    assert titles(discord) == ["ERROR: second"]
    assert handler.stats().last_error is None


def test_an_answer_is_waited_for_as_long_as_a_request_may_take(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """Then it is in doubt whether the message was posted, and the next one goes."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord, request_timeout_seconds=0.3)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(20)
    assert (handler.stats().pending, handler.stats().unknown) == (0, 1)
    logger.error("second")
    assert handler.flush(20)
    assert titles(discord) == ["ERROR: second"]


def test_an_answer_that_can_not_be_read_is_no_reason_to_post_again(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """The HTTP client calls two lengths of one answer a wrong value, as it does a wrong URL."""
    discord.first_answers.append(DiscordAnswer(headers={"Content-Length": "7"}))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    assert (posts(discord), handler.stats().unknown) == (1, 1)
    logger.error("second")
    assert handler.flush(30)
    assert titles(discord) == ["ERROR: second"]


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "<html>who are you?</html>", "unknown"),
        (103, None, "unknown"),
        (204, None, "delivered"),
    ],
)
def test_only_discord_s_own_answer_says_that_a_message_was_taken(
    discord: FakeDiscord, logger: logging.Logger, status: int, body: str | None, kind: str
) -> None:
    """A proxy may answer with a page, and so does whatever is at a wrong address."""
    discord.first_answers.append(DiscordAnswer(status=status, body=body))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    assert getattr(handler.stats(), kind) == 1
    assert balance(handler) == 0


@pytest.mark.parametrize("bundle", ["", "missing.pem"])
def test_what_no_secure_connection_took_waits(
    discord: FakeDiscord,
    logger: logging.Logger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    bundle: str,
) -> None:
    """Whether TLS can't be spoken with the server, or a file of certificates is not there."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle and str(tmp_path / bundle))
    base = discord.api_base_url.replace("http:", "https:")
    handler = handler_for(discord, api_base_url=base, shutdown_timeout_seconds=0)
    logger.addHandler(handler)
    logger.error("first")
    wait_until(lambda: handler.stats().last_error is not None)
    assert (handler.stats().pending, handler.stats().unknown) == (1, 0)


def test_credentials_of_netrc_are_never_sent(
    discord: FakeDiscord, logger: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HTTP client would put those for the host into each request."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login example password other", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("told")
    assert handler.flush(30)
    assert "Authorization" not in discord.messages[0].headers


def test_a_close_after_a_short_flush_still_waits_for_a_slow_server(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """The time-out of the one is not that of the other."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    logger.error("second")
    assert not handler.flush(0.1)
    threading.Timer(0.2, discord.let_go).start()
    handler.close()
    assert handler.stats().delivered == 2


def test_a_close_after_a_message_was_refused_still_posts_what_came_since(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """What was lost was not waited for in vain: the next message may get there."""
    discord.first_answers.append(DiscordAnswer(status=400))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    logger.error("second")
    handler.close()
    assert titles(discord) == ["ERROR: second"]
    assert (handler.stats().failed, handler.stats().delivered) == (1, 1)


def test_a_close_posts_what_other_threads_log_while_it_flushes(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """There is time left for it; what comes even later is counted as dropped."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    closing = threading.Thread(target=handler.close)
    closing.start()
    assert discord.wait_for(lambda discord: posts(discord) == 1, 30)
    logger.error("second")
    discord.let_go()
    closing.join()
    logger.error("too late")
    assert titles(discord) == ["ERROR: first", "ERROR: second"]
    assert (handler.stats().delivered, handler.stats().dropped) == (2, {"shutdown": 1})


def test_a_slow_server_delays_messages_and_nothing_else(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """What comes meanwhile goes together in the next message."""
    discord.latency_seconds = 0.3
    handler = handler_for(discord)
    logger.addHandler(handler)
    for number in range(20):
        logger.error("failure %d", number)
    assert handler.flush(30)
    assert len(titles(discord)) == 20
    assert len(discord.messages) <= 5


def test_a_server_that_says_not_to_wait_is_asked_less_and_less_often() -> None:
    """Else it would be asked in a loop; an answer of another kind ends that."""
    refusal = 429, {"Retry-After": "0"}, {"retry_after": 0}
    limit = RateLimit()
    for _ in range(3):
        limit.note(*refusal)
    assert limit.seconds_until_free() <= 0.4
    for _ in range(9):
        limit.note(*refusal)
    assert 30 < limit.seconds_until_free() <= 60
    again = RateLimit()
    for answer in (refusal, refusal, (200, {}, {}), refusal):
        again.note(*answer)
    assert again.seconds_until_free() <= 0.2


def test_two_handlers_for_one_webhook_share_its_rate_limit(logger: logging.Logger) -> None:
    """One thread sends for both, and neither runs into a limit that the other was told of."""
    with FakeDiscord(token=TOKEN, requests_per_window=2, window_seconds=0.5) as discord:
        handlers = [handler_for(discord), handler_for(discord)]
        before = set(threading.enumerate())
        for round_number in range(3):
            for number, handler in enumerate(handlers):
                record = logging.LogRecord("t", 40, "", 0, f"{round_number} {number}", (), None)
                handler.handle(record)
                assert handler.flush(30)
        started = [thread.name for thread in set(threading.enumerate()) - before]
        name = f"spectra-logging-discord-{discord.webhook_id}"
        assert started.count(name) == 1
        assert [request.status for request in discord.requests] == [200] * 6
        for handler in handlers:
            handler.close()


def test_no_log_call_raises_whatever_it_is_given(
    discord: FakeDiscord, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong arguments, objects that can't be shown; a fault of ours is counted and told."""

    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    handler = handler_for(discord)
    logger.addHandler(handler)
    for message, args in (("%d %d", ("one",)), (Unshowable(), ()), (None, (Unshowable(),))):
        record = logging.LogRecord("tests", logging.ERROR, "", 0, message, args, None)
        record.it = Unshowable()
        handler.handle(record)
    assert handler.flush(30)
    assert len(titles(discord)) == 3

    def broken(*_: object) -> None:
        raise MemoryError(TOKEN)

    monkeypatch.setattr("spectra_logging.discord.outbox.freeze", broken)
    logger.error("lost")
    monkeypatch.undo()
    assert handler.stats().dropped == {"internal_error": 1}
    assert balance(handler) == 0


def test_a_fault_of_ours_on_the_thread_drops_one_message_only(
    discord: FakeDiscord,
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is counted and told without the token, and the next message is sent."""

    def broken(*_: object) -> None:
        raise MemoryError(TOKEN)

    handler = handler_for(discord)
    logger.addHandler(handler)
    with monkeypatch.context() as patch:
        patch.setattr("spectra_logging.discord.sender.build_message", broken)
        logger.error("lost")
        handler.flush(30)
    logger.error("sent")
    assert handler.flush(30)
    assert handler.stats().dropped == {"internal_error": 1}
    told = capsys.readouterr().err
    assert "a message for Discord was dropped: MemoryError" in told
    assert TOKEN not in told


def test_a_signal_handler_may_log_in_the_midst_of_a_log_call(discord: FakeDiscord) -> None:
    """The lock is not in its way; every record is accounted for."""
    done = run_program(
        """
        from spectra_logging.handlers.discord import DiscordHandler
        handler = DiscordHandler(
            table, api_base_url=arguments[0], queue_max_records=20, shutdown_timeout_seconds=20
        )
        logger.addHandler(handler)
        signals = 0

        def on_signal(number, frame):
            global signals
            signals += 1
            logger.critical("signal")

        signal.signal(signal.SIGALRM, on_signal)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        number = 0
        while signals < 200:
            number += 1
            logger.error("failure %d", number)
        signal.setitimer(signal.ITIMER_REAL, 0)
        stats = handler.stats()
        assert stats.emitted == number + signals, (stats, number, signals)
        assert handler.flush(20)
        stats = handler.stats()
        assert stats.delivered + stats.dropped.get("queue_full", 0) == stats.emitted, stats
        """,
        discord.webhook_url,
        discord.api_base_url,
    )
    assert done.returncode == 0, done.stderr
    assert any(title.startswith("CRITICAL: signal") for title in titles(discord))


def test_any_number_of_records_in_the_midst_of_a_log_call_are_counted(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """As when the garbage collector comes upon thousands of objects that log as they go."""
    handler = handler_for(discord, queue_max_records=10, level="WARNING")
    logger.addHandler(handler)
    with handler._outbox._guard:
        for number in range(3000):
            logger.warning("record %d", number)
    assert handler.stats().emitted == 3000
    assert balance(handler) == 0


def test_a_signal_handler_may_flush_in_the_midst_of_a_flush_at_the_end(
    discord: FakeDiscord, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python 3.12 on the flush posts by itself there; the one within it ends in time."""
    handler = handler_for(discord)
    logger.addHandler(handler)
    assert handler._sender is not None
    post, inner = handler._sender._poster.post, []

    def post_and_be_interrupted(*arguments: Any) -> Any:
        inner.append(handler.flush(0.01))
        return post(*arguments)

    start = threading.Thread.start

    def start_none_of_ours(thread: threading.Thread) -> None:
        if thread.name.startswith("spectra-logging"):
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(thread)

    monkeypatch.setattr(handler._sender._poster, "post", post_and_be_interrupted)
    outer: list[bool] = []
    ending = threading.Thread(target=lambda: outer.append(handler.flush(20)), daemon=True)
    monkeypatch.setattr(threading.Thread, "start", start_none_of_ours)
    logger.error("at the end")
    ending.start()
    ending.join(30)
    assert (inner, outer) == ([False], [True])
    assert titles(discord) == ["ERROR: at the end"]


@pytest.mark.parametrize("level", [None, "ERROR", "50"])
def test_a_record_whose_level_is_no_number_is_taken_by_its_level_s_name(
    discord: FakeDiscord, level: Any
) -> None:
    """``makeLogRecord`` leaves it ``None`` when the other side has sent none."""
    handler = handler_for(discord)
    for name in ("CRITICAL", "unheard of"):
        handler.handle(
            logging.makeLogRecord({"msg": f"from {name}", "levelname": name, "levelno": level})
        )
    assert handler.flush(30)
    assert handler.stats().emitted == handler.stats().delivered == 1
    handler.close()
