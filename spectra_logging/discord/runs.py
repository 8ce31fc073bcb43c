"""The embed of a notebook run's end: what failed, where, how long it ran, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spectra_logging.discord.embed import Embed
from spectra_logging.discord.events import (
    color_of,
    event_embed,
    in_words,
    origin,
    read_row,
    seconds,
    traceback_of,
)
from spectra_logging.discord.notice import Notice
from spectra_logging.redaction import redact_text

__all__ = ["notice_embed"]

_SUCCESS_COLOR = 0x2F9E44
_MOST_ALONG = 5


def notice_embed(notice: Notice, budget: int) -> tuple[dict[str, Any], str | None]:
    """The embed of a notice, and the whole text where the embed holds only a part of it."""
    return _run_embed(notice, budget) if notice.key.is_run else event_embed(notice, budget)


def _run_embed(notice: Notice, budget: int) -> tuple[dict[str, Any], str | None]:
    """The embed of the record of a run, with what its session had logged before."""
    row = read_row(notice)
    metadata = _mapping(row.get("metadata"))
    failed = notice.key.failed
    embed = Embed(
        color=color_of(notice.key.levelno) if failed else _SUCCESS_COLOR,
        budget=budget,
        at_seconds=notice.created_at,
    )
    stage, notebook = row.get("stage"), row.get("notebook_name")
    embed.title(f"{notebook}: {stage} stage {'failed' if failed else 'succeeded'}")
    embed.footer(origin(row))
    trace = ""
    if failed:
        trace = _describe_failure(embed, notice, row, metadata)
    source = row.get("source_name") or row.get("source_system")
    embed.field("Source", f"{source} ({row.get('source_system')})")
    embed.field("Ran for", seconds(row.get("duration_seconds")))
    embed.field("Lakehouse", f"{row.get('lakehouse_name')} ({row.get('execution_mode')})")
    embed.field("Execution", in_words(row.get("execution_id")), inline=False)
    _add_findings(embed, row, metadata)
    built = embed.build()
    shown = built.get("description", "")
    cut = trace and ("…" in shown or "```" not in shown)
    words = in_words(row.get("error_message") or "")
    return built, redact_text(f"{words}\n\n{trace}") if cut else None


def _describe_failure(
    embed: Embed, notice: Notice, row: Mapping[str, Any], metadata: Mapping[str, Any]
) -> str:
    words = in_words(row.get("error_message") or "it does not say why")
    embed.paragraph(words, share=0.3, bold=in_words(row.get("error_type") or ""))
    if metadata.get("ended"):
        embed.paragraph(in_words(metadata["ended"]), share=0.2)
    embed.paragraph(_what_to_do(row), share=0.4, bold="Next:")
    said = list(_said_before(notice.along, words))
    if said:
        embed.paragraph("\n".join(said), share=0.4, bold="Logged before:\n")
    traces = [traceback_of(other, read_row(other)) for other in notice.along]
    own = redact_text(in_words(metadata.get("traceback") or "")).strip()
    trace = own or next((text for text in reversed(traces) if text), "")
    if trace:
        embed.code(trace, share=0.6)
    return trace


def _said_before(along: Sequence[Notice], words: str) -> Iterator[str]:
    """What the session had logged, less what the run's record says itself."""
    for notice in along[:_MOST_ALONG]:
        row = read_row(notice)
        text = " ".join(str(row.get("event") or "").split())
        if text == "stage failed" or text in " ".join(words.split()):
            continue
        times = f" (×{notice.count})" if notice.count > 1 else ""
        yield f"{row.get('level')}: {redact_text(text)[:300]}{times}"
    if len(along) > _MOST_ALONG:
        yield f"and {len(along) - _MOST_ALONG} more"


def _what_to_do(row: Mapping[str, Any]) -> str:
    errors = _mapping(row.get("error_summary"))
    categories = _mapping(errors.get("errors_by_category"))
    table = f"Tables/log/{str(row.get('stage')).lower()}log"
    look = f"All rows of this run: {table}, execution_id as below."
    if {"authentication", "authorisation"} & categories.keys():
        return f"renew the source system's token or its rights, and run the notebook again. {look}"
    if errors.get("has_retryable_errors"):
        return f"run the notebook again; such errors often pass. {look}"
    return f"mend what the error names, and run the notebook again. {look}"


def _add_findings(embed: Embed, row: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    if row.get("capabilities"):
        embed.field(
            "Capabilities",
            in_words(row["capabilities"]).replace(",", ", "),
            inline=False,
            limit=500,
        )
    validation = _mapping(metadata.get("validation"))
    if validation:
        findings = [in_words(finding) for finding in validation.get("errors") or ()]
        shown = "passed" if validation.get("valid", True) else "; ".join(findings) or "failed"
        embed.field("Validation", shown, inline=False, limit=500)
    outputs = metadata.get("outputs")
    if isinstance(outputs, list) and outputs:
        told = (
            f"{output.get('target_table') or output.get('entity_name')}: "
            f"{output.get('row_count', '?')} rows"
            for output in outputs
            if isinstance(output, dict)
        )
        embed.field("Outputs", "\n".join(told), inline=False, limit=500)
    errors = _mapping(row.get("error_summary"))
    if errors.get("total_errors"):
        counts = _mapping(errors.get("errors_by_category"))
        listed = ", ".join(f"{count} {name}" for name, count in counts.items())
        total = in_words(errors["total_errors"])
        embed.field("Errors", f"{total} ({listed})" if listed else total)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
