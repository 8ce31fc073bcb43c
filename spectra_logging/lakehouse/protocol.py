"""What a table's Delta protocol asks of those who write to it."""

from __future__ import annotations

from deltalake import DeltaTable

__all__ = ["has_plain_files", "is_plain"]

_OF_ROWS = {
    "appendOnly",
    "changeDataFeed",
    "checkConstraints",
    "generatedColumns",
    "identityColumns",
    "invariants",
}
"""Features that say which rows may come and go, and nothing of the files that hold them."""


def is_plain(delta: DeltaTable) -> bool:
    """Whether a table has none of Delta's later features: reader version 1, writer version 2.

    Up to there a writer has to heed append-only tables and column invariants alone (PROTOCOL.md of
    delta-io/delta, *Requirements for Writers*).
    """
    protocol = delta.protocol()
    return protocol.min_reader_version == 1 and protocol.min_writer_version <= 2


def has_plain_files(delta: DeltaTable) -> bool:
    """Whether a table's files hold its rows and no more, so that some can be written as one.

    Not so where features such as row tracking, column mapping or deletion vectors leave marks on
    them. What constrains rows, or tells of their changes, does not concern a merge of files.
    """
    protocol = delta.protocol()
    if protocol.min_reader_version > 1:
        return False
    return protocol.min_writer_version < 7 or _OF_ROWS.issuperset(protocol.writer_features or ())
