"""The fakes that our own tests use: Fabric's utilities, a source system, Discord."""

from spectra_logging.testing.discord import FakeDiscord
from spectra_logging.testing.discord_answers import DiscordAnswer, DiscordMessage
from spectra_logging.testing.notebookutils import FakeNotebookUtils, storage_token
from spectra_logging.testing.source_system import FakeSourceSystem

__all__ = [
    "DiscordAnswer",
    "DiscordMessage",
    "FakeDiscord",
    "FakeNotebookUtils",
    "FakeSourceSystem",
    "storage_token",
]
