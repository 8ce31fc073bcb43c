"""Whether a session's server keeps Delta's transactions, or takes the options and ignores them."""

from __future__ import annotations

import tempfile

from deltalake import DeltaTable

from spectra_logging.lakehouse.spark_errors import translated
from spectra_logging.lakehouse.spark_found import Session, is_connect
from spectra_logging.lakehouse.spark_handover import shares_files

__all__ = ["keeps_transactions"]


def keeps_transactions(session: Session) -> bool | None:
    """Whether a second append under one transaction writes nothing.

    A classic session runs Delta itself, which keeps them. What stands behind Spark Connect may be
    something else, so it has to show it, on a table of its own.

    Returns:
        ``None`` when it can't be found out, since this process can't read what the server writes.
    """
    if not is_connect(session):
        return True
    if not shares_files(session):
        return None
    with tempfile.TemporaryDirectory(prefix="spectra-") as folder, translated(folder):
        place = f"{folder}/probe"
        for _ in range(2):
            writer = session.range(1).write.format("delta").mode("append")
            writer.options(txnAppId="spectra-logging", txnVersion="1").save(place)
        return DeltaTable(place).count() == 1
