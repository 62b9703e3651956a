"""How far a function has read its streams, kept on disk.

A checkpoint is written after a batch is done, never before. One that is behind is harmless, since a function may see a
record twice (P7), so it is not synced: after a power cut it may be old, but not torn.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from local.errors import StartError


@dataclass(slots=True)
class Position:
    """How far a shard has been read; `sequence` is that of the last record that is done, or None."""

    sequence: str | None = None
    finished: bool = False


class Checkpoint:
    """The positions in all shards, by mapping and stream."""

    def __init__(self, path: Path) -> None:
        """Read the file, if it exists. Raises: StartError if this program did not write it."""
        self._path = path
        self._streams: dict[str, dict[str, Position]] = {}
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise _corrupt(path, error) from None
        try:
            for stream, shards in json.loads(text).items():
                self._streams[stream] = {shard: Position(**position) for shard, position in shards.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise _corrupt(path, error) from None

    def of(self, mapping: str, stream: str) -> dict[str, Position]:
        """Return the positions of a mapping in a stream, by shard: change them, then call `save`."""
        return self._streams.setdefault(f"{mapping} {stream}", {})

    def passed(self, mapping: str, label: str) -> int:
        """Return the sequence number up to which a mapping has read the stream with this label; 0 for none yet."""
        for stream, shards in self._streams.items():
            if stream.startswith(f"{mapping} ") and stream.endswith(f"/stream/{label}"):
                return min((int(position.sequence or 0) for position in shards.values()), default=0)
        return 0

    def save(self) -> None:
        """Replace the file as a whole: a reader, or a crash, sees the old or the new one. Raises: OSError."""
        text = json.dumps(
            {
                stream: {shard: asdict(position) for shard, position in shards.items()}
                for stream, shards in self._streams.items()
            },
            indent=1,
        )
        temporary = self._path.with_suffix(".new")
        temporary.write_text(text, "utf-8")
        os.replace(temporary, self._path)  # noqa: PTH105 - atomic


def _corrupt(path: Path, error: Exception) -> StartError:
    return StartError(
        f"the data folder is corrupt: {path}: {error} (without that file the stream is read from its start)"
    )
