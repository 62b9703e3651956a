"""Deletes stream records that every reader has passed: the engine itself keeps all, and they are most of its file.

    oldest ... deleted ... | the last KEPT that everyone has read | still to be read ... newest

The space is used again for new records. Deleting is safe while everything runs, and may stop anywhere: a checkpoint on
disk only ever says that records are done with, and SQLite deletes a batch as a whole or not at all. A new reader of a
stream begins with the oldest record that is there; so it does on AWS, which keeps a day's.
"""

import sqlite3
from contextlib import closing

from local.checkpoint import Checkpoint
from local.folder import Folder
from local.system import System

KEPT = 10_000  # of each table: for tools that look back. At least 1, since the engine counts on from the last record
BATCH = 1_000  # deleted at once, while the engine waits; 10 ms
_BUSY_S_MAX = 1.0
_DELETE = """
    DELETE FROM _stream_records WHERE id IN (
        SELECT id FROM _stream_records
        WHERE table_name = :table AND CAST(sequence_number AS INTEGER) <= MIN(:passed, :kept_after)
        ORDER BY CAST(sequence_number AS INTEGER) LIMIT :batch
    )"""
_NEWEST = "SELECT MAX(CAST(sequence_number AS INTEGER)) FROM _stream_records WHERE table_name = ?"


def trim(system: System, folder: Folder) -> bool:
    """Delete a batch of each stream's records; return whether there may be more to delete.

    Raises: sqlite3.OperationalError when the file is busy or the disk full; StartError for a corrupt checkpoint.
    """
    deleted = 0
    with closing(sqlite3.connect(folder.database, _BUSY_S_MAX, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = NORMAL")  # what a power cut brings back is deleted again
        for table, label in connection.execute("SELECT table_name, stream_label FROM _tables").fetchall():
            readers = [stream for stream in system.streams if stream.table == table]
            passed = [Checkpoint(folder.checkpoint(one.function)).passed(one.name, label) for one in readers]
            newest = connection.execute(_NEWEST, [table]).fetchone()[0]
            if passed and newest is not None:
                bounds = {"passed": min(passed), "kept_after": newest - KEPT}
                done = connection.execute(_DELETE, {"table": table, "batch": BATCH, **bounds})
                deleted = max(deleted, done.rowcount)
    return deleted == BATCH
