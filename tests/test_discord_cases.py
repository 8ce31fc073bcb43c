"""The fifteen hard cases of a Discord webhook, each against a real server."""

from __future__ import annotations

import logging
import logging.config
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spectra_logging.discord.sender import sender_for
from spectra_logging.discord.webhook import parse_webhook
from spectra_logging.drain import drain_journals
from spectra_logging.testing import DiscordAnswer, FakeDiscord
from tests.discords import TOKEN, balance, handler_for, posts, titles
from tests.programs import run_program, wait_until
from tests.tables import read_rows


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """A running Discord."""
    with FakeDiscord(token=TOKEN) as discord:
        yield discord


def fail(error: Exception, because_of: Exception | None = None) -> None:
    raise error from because_of


def test_d1_a_server_that_hangs_blocks_no_log_call(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """1,000 calls return while the first request hangs; what found no room is counted and told."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord, queue_max_records=50)
    logger.addHandler(handler)
    logger.error("failure 0")
    assert discord.wait_for(lambda discord: posts(discord) == 1, 30)
    for number in range(1, 1000):
        logger.error("failure %d", number)
        assert handler.stats().pending <= 50
    assert discord.messages == []
    dropped = handler.stats().dropped["queue_full"]
    assert dropped == 1000 - handler.stats().pending

    discord.let_go()
    assert handler.flush(30)
    stats = handler.stats()
    assert stats.delivered == 1000 - dropped
    assert balance(handler) == 0
    told = [message for message in discord.messages if "content" in message.payload]
    assert len(told) == 1
    assert told[0].payload["content"].startswith(f"{dropped} more records were dropped")


def test_d2_the_larger_of_two_waits_is_kept(
    discord: FakeDiscord, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """A 429 with header 1, body 0.6 and 9 remaining: one retry, a second later, delivered once."""
    headers = {"Retry-After": "1", "X-RateLimit-Remaining": "9", "X-RateLimit-Reset-After": "0.1"}
    discord.first_answers.append(DiscordAnswer.too_many_requests(0.6, headers))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("once")
    assert handler.flush(30)
    first, second = discord.requests
    assert second.at_seconds - first.at_seconds >= 1.0
    assert len(discord.messages) == 1
    assert handler.stats().delivered == 1
    # To wait for one's turn is no problem, and its end none that is over.
    assert not [record for record in caplog.records if record.name == "spectra_logging"]


def test_d2_a_long_wait_after_a_short_one_is_told(
    discord: FakeDiscord, logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """Though Discord has the same words for both, and the short one is no problem."""
    discord.first_answers += [
        DiscordAnswer.too_many_requests(0.1, {}),
        DiscordAnswer.too_many_requests(120, {}),
    ]
    handler = handler_for(discord, shutdown_timeout_seconds=0.1)
    logger.addHandler(handler)
    logger.error("once")
    wait_until(lambda: "spectra_logging" in {record.name for record in caplog.records})
    told = [record.message for record in caplog.records if record.name == "spectra_logging"]
    assert [text.partition("; ")[2] for text in told] == ["nothing is sent for 2 min"]
    assert handler.stats().last_error == "HTTP 429: You are being rate limited."


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0},
        "<html>error code: 1015</html>",
        None,
        [1],
        {"retry_after": "soon"},
        {"retry_after": 10**400},
    ],
)
def test_d3_a_429_that_does_not_say_when_is_followed_by_a_long_silence(
    discord: FakeDiscord, logger: logging.Logger, caplog: pytest.LogCaptureFixture, body: Any
) -> None:
    """Neither header nor body helps: nothing breaks, the record waits, and that is told once."""
    discord.first_answers.append(DiscordAnswer.edge_ban(body))
    handler = handler_for(discord, shutdown_timeout_seconds=0.1)
    logger.addHandler(handler)
    logger.error("once")
    wait_until(lambda: handler.stats().last_error is not None)
    logger.error("twice")
    assert not handler.flush(0.2)
    assert posts(discord) == 1
    assert handler.stats().pending == 2
    webhook = parse_webhook("url", discord.webhook_url, discord.api_base_url)
    assert sender_for(webhook)._rate_limit.seconds_until_free() > 600
    wait_until(lambda: "spectra_logging" in {record.name for record in caplog.records})
    told = [record.message for record in caplog.records if record.name == "spectra_logging"]
    assert [text.partition("; ")[2] for text in told] == ["nothing is sent for 15 min"]


def test_d4_a_long_wait_is_kept_and_close_does_not_sit_it_out(
    discord: FakeDiscord, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    """2,285 seconds are not cut short; close() gives up in time, and says and counts what."""
    discord.first_answers.append(DiscordAnswer.too_many_requests(2285.0))
    handler = handler_for(discord, shutdown_timeout_seconds=0.2)
    logger.addHandler(handler)
    logger.error("deferred")
    assert not handler.flush(0.2)
    assert handler.stats().pending == 1
    webhook = parse_webhook("url", discord.webhook_url, discord.api_base_url)
    assert sender_for(webhook)._rate_limit.seconds_until_free() > 2200
    handler.close()
    assert posts(discord) == 1
    assert handler.stats().dropped == {"shutdown": 1}
    assert balance(handler) == 0
    assert "1 records were not posted" in capsys.readouterr().err


def test_d5_the_reset_is_waited_for_by_the_monotonic_clock(
    discord: FakeDiscord, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """204 with nothing remaining for 1.5 s, while both wall clocks are off by an hour."""
    headers = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset-After": "1.5",
        "X-RateLimit-Reset": "1000000000.000",
    }
    discord.first_answers.append(DiscordAnswer(status=204, headers=headers))
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    assert handler.flush(30)
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    logger.error("second")
    assert handler.flush(30)
    first, second = discord.requests
    assert second.at_seconds - first.at_seconds >= 1.5
    assert handler.stats().delivered == 2


@pytest.mark.parametrize("answer", [DiscordAnswer.unknown_webhook(), DiscordAnswer.invalid_token()])
def test_d6_a_webhook_that_is_gone_is_asked_once(
    discord: FakeDiscord,
    logger: logging.Logger,
    capsys: pytest.CaptureFixture[str],
    answer: DiscordAnswer,
) -> None:
    """404 and 401 switch the handler off, with one line on stderr that shows no token."""
    discord.first_answers.append(answer)
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("first")
    handler.flush(30)
    logger.error("second")
    handler.close()
    assert posts(discord) == 1
    stats = handler.stats()
    assert (stats.is_on, stats.failed, stats.dropped) == (False, 1, {"webhook_gone": 1})
    (line,) = capsys.readouterr().err.splitlines()
    assert "switched off" in line
    assert str(answer.body["code"]) in line
    assert TOKEN not in line


def test_d7_a_reset_after_the_body_is_not_posted_again(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """The message may be posted: it is counted as unknown, and not sent twice."""
    discord.first_answers.append(DiscordAnswer.reset())
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("perhaps")
    handler.flush(30)
    assert posts(discord) == 1
    assert handler.stats().unknown == 1
    logger.error("surely")
    assert handler.flush(30)
    assert titles(discord) == ["ERROR: surely"]


def test_d7_a_refused_connection_is_tried_again(logger: logging.Logger) -> None:
    """Nothing was sent, so the message is sent when there is somebody to take it."""
    with FakeDiscord(token=TOKEN) as before:
        port = int(before.address.rpartition(":")[2])
        handler = handler_for(before)
    logger.addHandler(handler)
    logger.error("patience")
    wait_until(lambda: "NewConnectionError" in (handler.stats().last_error or ""))
    assert handler.stats().pending == 1
    with FakeDiscord(token=TOKEN, port=port) as after:
        assert handler.flush(30)
        assert len(after.messages) == posts(after) == 1
    assert handler.stats().delivered == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_d8_a_redirect_is_not_followed(
    discord: FakeDiscord, logger: logging.Logger, status: int
) -> None:
    """Wherever it leads, nobody is contacted there, and the message counts as failed."""
    with FakeDiscord(token=TOKEN) as elsewhere:
        target = f"{elsewhere.api_base_url}/webhooks/{elsewhere.webhook_id}/{TOKEN}"
        discord.first_answers.append(DiscordAnswer.redirect(status, target))
        handler = handler_for(discord)
        logger.addHandler(handler)
        logger.error("here")
        handler.flush(30)
        assert handler.stats().failed == 1
        assert handler.stats().messages == 0
        assert elsewhere.requests == []


EVERYTHING_AT_DEBUG = """
import http.client, traceback, warnings
from spectra_logging import register_secret
from spectra_logging.handlers.discord import DiscordHandler
http.client.HTTPConnection.debuglevel = 1
url, echoing_base, token = arguments
delta = DeltaHandler(table)
console = logging.StreamHandler()
console.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
# What the program itself shows of its secrets is its own affair.
console.addFilter(lambda record: record.name != "program")
logging.basicConfig(level=logging.DEBUG, handlers=[console, delta])

def tell(base, **options):
    handler = DiscordHandler(url, api_base_url=base, shutdown_timeout_seconds=0.3, **options)
    logging.getLogger().addHandler(handler)
    print(repr(handler), handler.__dict__, vars(handler._sender), handler._sender._webhook)
    try:
        raise RuntimeError(f"could not post to {url}")
    except RuntimeError:
        logger.exception("failed with %s", url, extra={"url": url, "token": token, "who": [token]})
    handler.flush(5 if base == echoing_base else 0.5)
    print(handler.stats())
    logging.getLogger().removeHandler(handler)
    handler.close()

tell(echoing_base)
tell("http://127.0.0.1:9/api/v10")
tell("http://no-such-host.invalid/api/v10")
for wrong in (
    url + "/slack", url.replace("discord.com", "example.com"), url.replace("https", "ftp"),
    url + "?thread_id=" + token, "https://[" + url, url.replace("/webhooks/", "/webhook/"),
):
    try:
        DiscordHandler(wrong)
    except ValueError:
        traceback.print_exc()
    try:
        import logging.config
        logging.config.dictConfig({
            "version": 1, "disable_existing_loggers": False, "incremental": False,
            "handlers": {"d": {
                "class": "spectra_logging.handlers.discord.DiscordHandler", "webhook_url": wrong,
            }},
        })
    except ValueError:
        logging.getLogger().handlers[:] = [console, delta]
        logging.exception("no configuration")
assert delta.flush(30)
"""


def test_d9_the_token_is_in_no_output(discord: FakeDiscord, tmp_path: Path) -> None:
    """Everything at DEBUG, every way to fail: stdout, stderr, payloads and the table show none."""
    url = f"{discord.webhook_url}"
    echo = {"code": 50035, "message": f"Invalid: {url}", "errors": {"url": [url, TOKEN]}}
    discord.first_answers.append(DiscordAnswer(status=400, body=echo))
    table = tmp_path / "events"
    done = run_program(EVERYTHING_AT_DEBUG, table, url, discord.api_base_url, TOKEN)
    assert done.returncode == 0, done.stderr
    drain_journals(str(table))
    rows = read_rows(table)
    assert any("urllib3" in row["logger"] for row in rows) or "urllib3" in done.stderr
    assert "Invalid: " in done.stdout + done.stderr
    assert "is no Discord webhook" in done.stderr
    assert len(rows) >= 9
    for name, output in (("stdout", done.stdout), ("stderr", done.stderr), ("rows", str(rows))):
        at = output.find(TOKEN)
        assert at < 0, f"{name}: …{output[max(0, at - 300) : at]}"


def test_d9_the_token_is_in_no_payload(discord: FakeDiscord, logger: logging.Logger) -> None:
    """A record that is full of it arrives without it, its attached traceback included."""
    handler = handler_for(discord)
    logger.addHandler(handler)
    try:
        fail(ValueError(TOKEN), because_of=OSError(f"{discord.webhook_url} " * 200))
    except ValueError:
        logger.exception("to %s", discord.webhook_url, extra={"url": TOKEN, "all": {"a": [TOKEN]}})
    assert handler.flush(30)
    (message,) = discord.messages
    ((_, content),) = message.files
    assert "OSError" in content.decode()
    assert TOKEN not in content.decode()
    assert TOKEN not in str(message.payload)


@pytest.mark.usefixtures("fresh_logging")
@pytest.mark.parametrize("names_threads", [True, False])
def test_d10_one_log_call_is_one_post_though_all_is_logged(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch, names_threads: bool
) -> None:
    """The HTTP client's own DEBUG lines are not posted, which would post the next ones.

    Also where records do not say which thread they are of.
    """
    monkeypatch.setattr(logging, "logThreads", names_threads)
    handler = handler_for(discord, level="DEBUG", run_window_seconds=0)
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    logging.getLogger("tests.d10").debug("once")
    assert handler.flush(30)
    handler.close()
    assert posts(discord) == len(discord.messages) == 1
    assert handler.stats().dropped.get("own_thread", 0) > 0
    assert balance(handler) == 0


def test_d11_reconfiguring_logging_does_not_wait_for_a_server_that_hangs(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    """dictConfig() closes the handler within its time-out, while the request still hangs.

    In a process of its own, where the client is imported in the midst of it.
    """
    discord.first_answers.append(DiscordAnswer.hang())
    done = run_program(
        """
        import logging.config
        from spectra_logging.handlers.discord import DiscordHandler
        handler = DiscordHandler(
            arguments[0], api_base_url=arguments[1], shutdown_timeout_seconds=0.5
        )
        logger.addHandler(handler)
        for number in range(30):
            logger.error("pending %d", number)
        logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
        stats = handler.stats()
        print(stats.emitted, stats.pending, sum(stats.dropped.values()) + stats.unknown)
        """,
        tmp_path,
        discord.webhook_url,
        discord.api_base_url,
    )
    assert done.stdout.split() == ["30", "0", "30"], done.stderr
    assert done.returncode == 0
    assert posts(discord) <= 1
    assert "30 records were not posted" in done.stderr


def test_d12_neither_mentions_nor_fences_of_strangers_work(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """A traceback that holds both mentions nobody, and stays one block of code."""
    handler = handler_for(discord, mention_role_id="42")
    logger.addHandler(handler)
    try:
        fail(ValueError("@everyone <@&1> ``` ```` *bold* ```py\n# heading"))
    except ValueError:
        logger.exception("@here ```sh\nrm -rf\n```")
    assert handler.flush(30)
    (message,) = discord.messages
    assert message.payload["allowed_mentions"] == {"parse": [], "roles": ["42"]}
    assert message.payload["content"] == "<@&42>"
    description = message.embeds[0]["description"]
    assert description.count("```") == 2
    assert description.endswith("\n```")
    before, code, after = description.split("```")
    assert "@everyone" in code
    assert "<@&1>" not in before
    assert after == ""


def test_d13_whatever_the_size_each_request_is_valid(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """Ten long records at once, 2,000 emoji, a title too long, 5 MB of traceback in a file."""
    discord.first_answers.append(DiscordAnswer.hang())
    handler = handler_for(discord)
    logger.addHandler(handler)
    logger.error("opens the connection")
    assert discord.wait_for(lambda discord: posts(discord) == 1, 30)
    for number in range(10):
        logger.error("%d %s", number, "x" * 700)
    discord.let_go()
    assert handler.flush(30)
    logger.error("\N{GRINNING FACE}" * 2000)
    logger.error("t" * 257)
    huge = "\n".join(f"line {number} of the story" for number in range(200_000))
    try:
        fail(ValueError(huge))
    except ValueError:
        logger.exception("huge")
    assert handler.flush(30)

    assert {request.status for request in discord.requests} <= {None, 200}
    assert handler.stats().delivered == 14
    assert max(len(message.embeds) for message in discord.messages) == 10
    ((name, content),) = discord.messages[-1].files[-1:]
    assert name.endswith(".txt")
    assert len(huge) > 4_500_000
    assert huge in content.decode()
    assert len(discord.messages[-1].text) < 6000


def test_d13_a_file_is_cut_below_discord_s_limit(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """Of 20 MB the two ends are attached, with a note between them."""
    handler = handler_for(discord, queue_max_bytes=64 << 20)
    logger.addHandler(handler)
    try:
        fail(ValueError("begin " + "é" * 10_000_000 + " end"))
    except ValueError:
        logger.exception("huge")
    assert handler.flush(60)
    ((_, content),) = discord.messages[0].files
    assert 7 << 20 < len(content) <= 10 << 20
    text = content.decode()
    assert "begin" in text
    assert text.endswith(" end")
    assert "left out" in text


def test_d14_a_storm_is_a_few_messages_and_starves_nobody(
    discord: FakeDiscord, logger: logging.Logger
) -> None:
    """5,000 equal errors and one CRITICAL: it passes at once, and the rest is told by number."""
    handler = handler_for(discord, queue_max_records=10)
    logger.addHandler(handler)
    for _ in range(5000):
        logger.error("the disk is full")
    logger.critical("the machine is on fire")
    assert discord.wait_for(
        lambda discord: "CRITICAL: the machine is on fire" in titles(discord), 30
    )
    assert handler.flush(30)
    assert len(discord.messages) <= 3
    storm = [title for title in titles(discord) if title.startswith("ERROR: the disk is full")]
    told = [int(match[1]) if (match := re.search(r"×(\d+)", title)) else 1 for title in storm]
    assert sum(told) == 5000
    assert len(titles(discord)) == len(storm) + 1
    assert handler.stats().delivered == 5001
    assert handler.stats().dropped == {}


LOGS_AND_ENDS = """
from spectra_logging.handlers.discord import DiscordHandler
handler = DiscordHandler(arguments[0], api_base_url=arguments[1], shutdown_timeout_seconds=20)
logger.addHandler(handler)
"""

ENDINGS = {
    "normal exit": ("logger.error('last')", 0),
    "sys.exit": ("logger.error('last')\nsys.exit(1)", 1),
    "exception": ("logger.error('last')\nraise KeyError('boom')", 1),
    "atexit": ("atexit.register(lambda: logger.error('last'))", 0),
    "atexit after another": (
        "logger.error('first')\nhandler.flush(20)\natexit.register(lambda: logger.error('last'))",
        0,
    ),
    "interrupt": ("logger.error('last')\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)", None),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_d15_however_a_program_ends_its_last_error_is_delivered_once(
    discord: FakeDiscord, tmp_path: Path, ending: str
) -> None:
    """Also one logged at exit, where Python from 3.12 on starts no thread any more."""
    source, code = ENDINGS[ending]
    done = run_program(LOGS_AND_ENDS + source, tmp_path, discord.webhook_url, discord.api_base_url)
    assert code is None or done.returncode == code
    assert "thread" not in done.stderr
    assert "spectra_logging" not in done.stderr
    assert sorted(titles(discord)) == ["ERROR: first"] * ("first" in source) + ["ERROR: last"]


def test_d15_what_is_logged_at_exit_waits_no_longer_for_a_server_that_hangs(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    """Than for the handler's time-out, though a request may take longer."""
    discord.first_answers.append(DiscordAnswer.hang())
    done = run_program(
        """
        from spectra_logging import DiscordHandler
        logger.addHandler(DiscordHandler(
            arguments[0], api_base_url=arguments[1],
            shutdown_timeout_seconds=3, request_timeout_seconds=60,
        ))
        atexit.register(logger.error, "last")
        """,
        tmp_path,
        discord.webhook_url,
        discord.api_base_url,
        timeout_seconds=30.0,
    )
    assert done.returncode == 0, "it was killed, as it did not end"
    assert posts(discord) == 1


def test_d15_a_forked_child_delivers_its_own_and_nothing_twice(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    """The fork comes when a connection is open and a record is on its way."""
    done = run_program(
        LOGS_AND_ENDS
        + """
logger.error("parent 1")
assert handler.flush(20)
logger.error("parent 2")
child = os.fork()
if child == 0:
    logger.error("child")
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
logger.error("parent 3")
""",
        tmp_path,
        discord.webhook_url,
        discord.api_base_url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(titles(discord)) == [
        "ERROR: child",
        "ERROR: parent 1",
        "ERROR: parent 2",
        "ERROR: parent 3",
    ]


def test_d15_a_child_waits_as_its_parent_was_told_to(discord: FakeDiscord, tmp_path: Path) -> None:
    """Workers that are forked during a ban would else each ask once more, and prolong it."""
    discord.first_answers.append(DiscordAnswer.edge_ban())
    done = run_program(
        """
        from spectra_logging.handlers.discord import DiscordHandler
        url, base = arguments
        handler = DiscordHandler(url, api_base_url=base, shutdown_timeout_seconds=0)
        logger.addHandler(handler)
        logger.error("parent")
        while handler.stats().last_error is None:
            time.sleep(0.01)
        if not (child := os.fork()):
            logger.error("child")
            handler.flush(0.5)
            os._exit(0 if handler.stats().pending == 1 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        """,
        tmp_path,
        discord.webhook_url,
        discord.api_base_url,
    )
    assert done.returncode == 0, done.stderr
    assert posts(discord) == 1


def test_d15_a_child_forked_while_requests_is_loaded_delivers_its_own(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    """The import goes on when the fork is under way, and the child must inherit none of it."""
    done = run_program(
        LOGS_AND_ENDS
        + """
from tests.imports import HeldImport

held = HeldImport("requests.sessions")
os.register_at_fork(before=held.let_go)
logger.error("parent")
assert held.reached.wait(30)
child = os.fork()
if child == 0:
    logger.error("child")
    os._exit(0 if handler.flush(10) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
        tmp_path,
        discord.webhook_url,
        discord.api_base_url,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(titles(discord)) == ["ERROR: child", "ERROR: parent"]
