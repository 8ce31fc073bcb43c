"""A ``LogRecord``, from structlog or the stdlib, becomes one row of a table spec.

The row is frozen here, on the caller's thread: what the caller changes afterwards changes nothing.
Columns are filled by name, in this order:

1. what every record has: ``recorded_at``, ``level``, ``logger``, ``event``, ``module``,
   ``function``, ``line``, ``thread``, ``process_id``, ``host``, and ``exception`` with the
   traceback;
2. the record's extras: ``extra=``, a structlog event dict, structlog's context variables;
3. ``trace_id`` and ``span_id`` of an active OpenTelemetry span;
4. for a column that is never null, its default.

What no column takes, or takes only with a loss, goes into the spec's JSON column under its own
name, with a number behind it where that is taken; so do the message and the time of a spec without
columns for them.
"""

from spectra_logging.record.encoder import RowEncoder

__all__ = ["RowEncoder"]
