"""``spectra discord``: whether messages reach Discord."""

from __future__ import annotations

import io
import json
import logging
from contextlib import redirect_stderr
from dataclasses import asdict
from typing import Annotated

import typer

from spectra_logging._version import __version__
from spectra_logging.handlers.discord import DiscordHandler
from spectra_logging.stats import DiscordStats
from spectra_stage.cli import options
from spectra_stage.cli.words import say

__all__ = ["app"]

EXIT_FAILED = 1
EXIT_OFF = 6

app = typer.Typer(no_args_is_help=True, help="See whether messages reach Discord.")


@app.callback()
def discord() -> None:
    pass


@app.command("test")
def send_test(
    variable_library: Annotated[
        str | None,
        typer.Option(help="Fabric's Variable Library to look in.", show_default=False),
    ] = None,
    source_system: Annotated[
        str | None, typer.Option(help="Whose webhook to look for.", show_default=False)
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            help="Address of the Key Vault secret that holds the webhook.", show_default=False
        ),
    ] = None,
    thread_id: Annotated[
        str | None, typer.Option(help="The thread to post in.", show_default=False)
    ] = None,
    api_base_url: Annotated[
        str | None, typer.Option(help="The API in place of Discord's.", show_default=False)
    ] = None,
    timeout_seconds: Annotated[float, typer.Option(min=0.1, help="How long to wait.")] = 15.0,
    as_object: options.JsonLines = False,
) -> None:
    """Post one message, and say what became of it.

    The webhook's URL is no option, since other users of the machine can see a command's options:
    set DISCORD_WEBHOOK_URL. Exit code 6 says that no webhook is set anywhere.
    """
    handler = DiscordHandler(
        level="INFO",
        variable_library=variable_library,
        source_system=source_system,
        secret=secret,
        thread_id=thread_id,
        api_base_url=api_base_url,
        request_timeout_seconds=timeout_seconds,
        shutdown_timeout_seconds=0.0,
    )
    configured = handler.is_on
    text = f"This is a test of spectra-logging {__version__}: messages arrive here."
    record = logging.LogRecord("spectra.discord", logging.INFO, __file__, 0, text, (), None, "test")
    # What the handler tells of trouble, on its logger and on stderr, is said below, and once. Its
    # thread may tell of a request without an answer when all below has been said.
    logging.disable()
    with redirect_stderr(io.StringIO()):
        handler.handle(record)
        handler.flush(timeout_seconds)
        is_on = handler.is_on
        handler.close()
    # Closed, it knows that what has got no answer may be posted or not.
    stats = handler.stats()
    if as_object:
        figures = {"delivered": stats.delivered == 1, **asdict(stats), "is_on": is_on}
        typer.echo(json.dumps(figures))
    say(_in_words(stats, configured, timeout_seconds), err=not stats.delivered or as_object)
    if not stats.delivered:
        raise typer.Exit(EXIT_FAILED if configured else EXIT_OFF)


def _in_words(stats: DiscordStats, configured: bool, timeout_seconds: float) -> str:
    if not configured:
        return (
            "no webhook is set: neither DISCORD_WEBHOOK_URL_<SOURCE_SYSTEM> nor "
            "DISCORD_WEBHOOK_URL. Discord's channel settings give one, under Integrations, Webhooks"
        )
    if stats.delivered:
        return f"webhook {stats.webhook_id}: Discord took the message"
    problem = stats.last_error or f"no answer within {timeout_seconds:g} seconds"
    outcome = "the message may be posted or not" if stats.unknown else "nothing was posted"
    return f"webhook {stats.webhook_id}: {outcome} ({problem})"
