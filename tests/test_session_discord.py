"""Sessions tell Discord of what is critical: one message for a failed run, and never in the way."""

from __future__ import annotations

import logging
import logging.config
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from spectra_logging.errors import StageFailedError
from spectra_logging.handlers.delta import DeltaHandler
from spectra_logging.session import ACTIVITY_LOGGER, NotebookSession, alerts
from spectra_logging.testing import DiscordAnswer, FakeDiscord, FakeNotebookUtils, FakeSourceSystem
from spectra_stage.errors import SourceSystemError
from spectra_stage.sdk import SourceStageHelpers
from tests import stages
from tests.discords import TOKEN, handler_for, titles
from tests.programs import run_program, start_program
from tests.tables import read_rows

IDENTITY = {
    "SOURCE_SYSTEM": "example",
    "SOURCE_NAME": "Example tests",
    "STAGE": "Source",
    "NOTEBOOK_NAME": "sourceExample",
}
VAULT = "https://example.vault.azure.net/"


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """A running Discord."""
    with FakeDiscord(token=TOKEN) as discord:
        yield discord


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, discord: FakeDiscord) -> Iterator[Path]:
    """A lakehouse of the test's own, the session's variables, and a webhook in the environment."""
    monkeypatch.setenv("SPECTRA_ROOT", str(tmp_path))
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL_EXAMPLE", discord.webhook_url)
    monkeypatch.setenv("DISCORD_API_BASE_URL", discord.api_base_url)
    yield tmp_path
    assert logging.getLogger(ACTIVITY_LOGGER).handlers == []
    notebook_logger = logging.getLogger("spectra.sourceExample")
    assert notebook_logger.handlers == notebook_logger.filters == []


def opened() -> NotebookSession:
    session = NotebookSession("example").load_context()
    session.initialize()
    return session


def run_that_fails() -> str:
    """A notebook whose stage fails, as notebooks do; returns its execution id."""
    session = opened()
    session.log.error("endpoint %s does not answer", "/projects")
    session.add_capability("configTablesCreated")
    try:
        raise ConnectionError("refused by the source")  # noqa: TRY301 - it is the notebook's
    except ConnectionError as error:
        session.mark_failed(str(error))
    with pytest.raises(StageFailedError):
        session.validate()
    session.record()
    session.finalise()
    return str(session.ctx["execution_id"])


@pytest.mark.usefixtures("root")
def test_the_role_that_a_variable_names_is_mentioned(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line break that it was copied with."""
    monkeypatch.setenv("DISCORD_MENTION_ROLE_ID", "42\n")
    run_that_fails()
    (message,) = discord.messages
    assert message.payload["allowed_mentions"]["roles"] == ["42"]


def test_a_failed_run_is_one_row_and_one_message(root: Path, discord: FakeDiscord) -> None:
    """What the session logged before its end is part of the message, which a person can read."""
    execution_id = run_that_fails()
    (row,) = read_rows(root / "Tables/log/sourcelog")
    assert (row["execution_id"], row["status"]) == (execution_id, "Failed")
    (message,) = discord.messages
    (embed,) = message.embeds
    assert embed["title"] == "sourceExample: Source stage failed"
    fields = {field["name"]: field["value"] for field in embed["fields"]}
    assert fields["Execution"].replace("\\", "") == execution_id
    assert fields["Source"] == "Example tests (example)"
    assert fields["Ran for"].endswith(" s")
    assert fields["Lakehouse"] == "local (local)"
    assert fields["Capabilities"] == "configTablesCreated"
    assert embed["description"].startswith("**ConnectionError** refused by the source")
    assert "**Next:**" in embed["description"]
    assert "ERROR: endpoint /projects does not answer" in embed["description"]
    assert "stage failed" not in embed["description"]


@pytest.mark.usefixtures("root", "fresh_logging")
def test_handlers_that_users_configured_serve_and_no_third_is_attached(
    discord: FakeDiscord, tmp_path: Path
) -> None:
    """With both handlers on the root: one row, one message, the same execution id in both."""
    table = tmp_path / "activity"
    delta, other = DeltaHandler(str(table), spec="activity"), handler_for(discord, username="Ours")
    logging.getLogger().addHandler(delta)
    logging.getLogger().addHandler(other)
    execution_id = run_that_fails()
    assert other.flush(30)
    rows = [row for row in read_rows(table) if row["event"] == "record"]
    assert [row["execution_id"] for row in rows] == [execution_id]
    (message,) = discord.messages
    assert message.payload["username"] == "Ours"
    assert execution_id in message.text.replace("\\", "")


@pytest.mark.usefixtures("root")
def test_a_failed_authentication_is_one_critical_message(
    discord: FakeDiscord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Source stage's error, its record and what is raised are told once, with what to do."""
    with FakeSourceSystem() as system:
        stages.set_up(monkeypatch, tmp_path, BASE_URL=system.base_url, API_TOKEN="wrong-token-1")
        monkeypatch.setenv("DISCORD_WEBHOOK_URL", discord.webhook_url)
        session = NotebookSession("example").load_context(bootstrap=True)
        session.initialize()
        with pytest.raises(SourceSystemError):
            SourceStageHelpers.execute_source_stage(session=session, catalog=system.openapi())
        session.finalise()
    (message,) = discord.messages
    (embed,) = message.embeds
    assert embed["color"] == 0x8E1600
    assert "renew the source system's token" in embed["description"]
    assert "Logged before" not in embed["description"]
    assert {"name": "Errors", "value": "1 (1 authentication)", "inline": True} in embed["fields"]


@pytest.mark.usefixtures("root")
def test_a_run_that_succeeded_is_told_only_if_asked_for(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then with its capabilities, its validation and its outputs, and without a sound."""
    for notify in ("", "true"):
        monkeypatch.setenv("DISCORD_NOTIFY_SUCCESS", notify)
        with opened() as session:
            session.add_capability("authVerified")
            session.add_capability("tablesRegistered")
            session.log_activity(target_table="source.endpoints", row_count=37)
            session.result["validation"] = {"valid": True, "errors": []}
            session.record()
    (message,) = discord.messages
    assert message.payload["flags"] == 4096
    assert titles(discord) == ["sourceExample: Source stage succeeded"]
    assert "Capabilities: authVerified, tablesRegistered" in message.text
    assert "Validation: passed" in message.text
    assert "Outputs: source.endpoints: 37 rows" in message.text


@pytest.mark.usefixtures("root")
def test_errors_of_a_run_that_succeeded_are_told_as_errors(discord: FakeDiscord) -> None:
    """They wait for the session's end, and not for longer."""
    with opened() as session:
        session.log.error("one endpoint does not answer")
        session.record()
    assert titles(discord) == ["ERROR: one endpoint does not answer"]


@pytest.mark.usefixtures("root")
def test_recording_a_failure_twice_is_one_message(discord: FakeDiscord) -> None:
    """A stage records before it raises, and the notebook's last cell records again."""
    session = opened()
    session.mark_failed("no token")
    session.record()
    assert discord.wait_for_messages(1)
    session.record()
    session.finalise()
    assert len(discord.messages) == 1


def test_an_exception_in_the_with_block_is_told_with_its_traceback(
    root: Path, discord: FakeDiscord
) -> None:
    """A session that ends without record() tells Discord too, with the code that failed."""
    with pytest.raises(ConnectionError), opened():
        raise ConnectionError("refused")
    (message,) = discord.messages
    description = message.embeds[0]["description"]
    assert "the session ended without record()" in description
    assert 'raise ConnectionError("refused")' in description


@pytest.mark.parametrize("value", ["the URL", "the address of a Key Vault secret"])
def test_the_variable_library_names_the_webhook(
    root: Path, discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """As it is, or where Key Vault has it; the source system's own goes before the general one."""
    monkeypatch.delenv("DISCORD_WEBHOOK_URL_EXAMPLE")
    url = discord.webhook_url if value == "the URL" else f"{VAULT}secrets/discord-webhook"
    library = {
        **IDENTITY,
        "DISCORD_WEBHOOK_URL_EXAMPLE": url,
        "DISCORD_WEBHOOK_URL": "https://discord.com/api/webhooks/1/another-webhook",
    }
    with FakeNotebookUtils(
        variables={"example": library}, secrets={VAULT: {"discord-webhook": discord.webhook_url}}
    ):
        run_that_fails()
    assert len(discord.messages) == 1


@pytest.mark.parametrize(
    "webhook", ["https://example.com/hook/example-secret", f"{VAULT}secrets/not-here"]
)
def test_a_webhook_that_can_not_be_used_is_a_warning_and_no_failure(
    root: Path,
    discord: FakeDiscord,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    webhook: str,
) -> None:
    """The run goes on, its row is written, and the warning doesn't show the webhook."""
    monkeypatch.setenv("DISCORD_WEBHOOK_URL_EXAMPLE", webhook)
    with opened() as session:
        assert session.record()
    assert "Discord is not told of this run" in caplog.text
    assert "example-secret" not in caplog.text
    assert len(read_rows(root / "Tables/log/sourcelog")) == 1
    assert discord.requests == []


def test_without_a_webhook_nothing_is_attached(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable, no handler, no word."""
    monkeypatch.delenv("DISCORD_WEBHOOK_URL_EXAMPLE")
    session = opened()
    assert logging.getLogger("spectra.sourceExample").filters == []
    session.record()
    session.finalise()


def test_a_discord_that_hangs_fails_no_stage(
    root: Path, discord: FakeDiscord, capsys: pytest.CaptureFixture[str]
) -> None:
    """The row is in the table; the message goes on waiting when the session has ended."""
    discord.first_answers.append(DiscordAnswer.hang())
    run_that_fails()
    assert len(read_rows(root / "Tables/log/sourcelog")) == 1
    assert discord.messages == []
    discord.let_go()
    assert discord.wait_for_messages(1)
    opened().finalise()  # closes what lingers


@pytest.mark.usefixtures("root")
def test_two_sessions_at_once_each_tell_their_own(discord: FakeDiscord) -> None:
    """They share the activity log's logger, and still each failure is told once."""
    first, second = opened(), opened()
    for number, session in enumerate((first, second)):
        session.mark_failed(f"failure {number}")
        session.record()
    second.finalise()
    first.finalise()
    told = "\n".join(message.text for message in discord.messages)
    assert len(titles(discord)) == 2
    assert told.count("failure 0") == told.count("failure 1") == 1


@pytest.mark.usefixtures("root")
def test_a_session_that_begins_while_another_ends_tells_its_own(
    discord: FakeDiscord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler that is on its way out is not taken for one that a user has configured."""
    ends, may_end = threading.Event(), threading.Event()
    leave = alerts._Own.leave

    def leave_late(own: alerts._Own) -> None:
        ends.set()
        may_end.wait(30)
        leave(own)

    first = opened()
    first.record()
    monkeypatch.setattr(alerts._Own, "leave", leave_late)
    ending = threading.Thread(target=first.finalise)
    ending.start()
    assert ends.wait(30)
    monkeypatch.setattr(alerts._Own, "leave", leave)
    second = opened()
    may_end.set()
    ending.join()
    second.mark_failed("nothing came")
    second.record()
    second.finalise()
    assert titles(discord) == ["sourceExample: Source stage failed"]


@pytest.mark.usefixtures("root")
def test_a_dict_config_within_the_run_does_not_cut_discord_off(discord: FakeDiscord) -> None:
    """It takes the session's handler from its loggers; the session attaches it again."""
    session = opened()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    session.mark_failed("no token")
    session.record()
    session.finalise()
    assert titles(discord) == ["sourceExample: Source stage failed"]


KILLED = """
from spectra_logging.session import NotebookSession
session = NotebookSession("example").load_context()
session.initialize()
session.log_activity(entity_name="projects", row_count=3)
print(session.ctx["execution_id"], flush=True)
time.sleep(60)
"""

NEXT_RUN = """
from spectra_logging.session import NotebookSession
with NotebookSession("example").load_context() as session:
    session.initialize()
    assert session.record()
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is a POSIX matter")
def test_a_killed_run_s_rows_survive_and_the_next_run_says_so(
    root: Path, discord: FakeDiscord
) -> None:
    """The activity that it logged is in the table once, and Discord and stderr name the run."""
    killed = start_program(KILLED, root)
    assert killed.stdout is not None
    execution_id = killed.stdout.readline().strip()
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert discord.messages == []

    done = run_program(NEXT_RUN, root)
    assert done.returncode == 0, done.stderr
    rows = read_rows(root / "Tables/log/sourcelog", order_by="activity_id")
    assert [(row["event"], row["entity_name"]) for row in rows] == [
        ("activity", "projects"),
        ("record", None),
    ]
    assert rows[0]["execution_id"] == execution_id
    (title,) = titles(discord)
    assert title.startswith("ERROR: an earlier run was killed before it recorded how it went")
    assert execution_id in discord.messages[0].text.replace("\\", "")
    assert "an earlier run was killed" in done.stderr
    assert execution_id in done.stderr

    again = run_program(NEXT_RUN, root)
    assert "killed" not in again.stderr
    assert len(discord.messages) == 1
