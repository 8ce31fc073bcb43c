"""``spectra discord test``: one message, what became of it, and never the token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from spectra_logging.testing import DiscordAnswer, FakeDiscord
from tests.discords import TOKEN


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """A running Discord."""
    with FakeDiscord(token=TOKEN) as discord:
        yield discord


def spectra(webhook: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with a webhook in its environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DISCORD_")}
    variables = {} if webhook is None else {"DISCORD_WEBHOOK_URL": webhook}
    done = subprocess.run(
        [sys.executable, "-m", "spectra_stage", "discord", "test", *arguments],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_a_message_that_arrives_is_code_0(discord: FakeDiscord) -> None:
    """It says so, and to which webhook."""
    done = spectra(discord.webhook_url, "--api-base-url", discord.api_base_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "webhook 100000000000000001: Discord took the message\n"
    (message,) = discord.messages
    assert "This is a test of spectra-logging" in message.text


def test_its_figures_are_to_be_had_as_json(discord: FakeDiscord) -> None:
    """One object on stdout, for programs."""
    done = spectra(discord.webhook_url, "--api-base-url", discord.api_base_url, "--json")
    figures = json.loads(done.stdout)
    assert (figures["delivered"], figures["messages"], figures["webhook_id"]) == (
        True,
        1,
        discord.webhook_id,
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (DiscordAnswer.unknown_webhook(), "HTTP 404, code 10015: Unknown Webhook"),
        (DiscordAnswer.reset(), "the message may be posted or not"),
        (DiscordAnswer.hang(), "the message may be posted or not"),
        (DiscordAnswer.too_many_requests(99), "nothing was posted (HTTP 429"),
    ],
)
def test_a_message_that_does_not_arrive_is_code_1(
    discord: FakeDiscord, answer: DiscordAnswer, words: str
) -> None:
    """Stderr says why, in one line."""
    discord.first_answers.append(answer)
    arguments = ("--api-base-url", discord.api_base_url, "--timeout-seconds", "1")
    done = spectra(discord.webhook_url, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (told,) = done.stderr.splitlines()
    assert told.startswith("webhook 100000000000000001: ")
    assert told.count(words) == 1


def test_a_malformed_webhook_is_code_2() -> None:
    """The message names the variable and shows nothing of it."""
    done = spectra(f"https://example.com/{TOKEN}")
    assert done.returncode == 2
    assert "variable DISCORD_WEBHOOK_URL is no Discord webhook" in done.stderr


def test_no_webhook_is_code_6() -> None:
    """It says where one comes from."""
    done = spectra(None)
    assert done.returncode == 6
    assert "no webhook is set" in done.stderr
