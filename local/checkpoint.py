"""How far a function has read its streams, on disk: what was done before a stop is not done again, what was not is.

A checkpoint that is behind is harmless, since the function may see a record twice (P7). So it is written after a
batch is done, never before, and not forced to the disk platter: after a power cut it may be old, not torn.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from local.errors import StartError


@dataclass(slots=True)
class Position:
    """How far one shard has been read: `sequence` is that of the last record done with, None for none yet."""

    sequence: str | None = None
    finished: bool = False


class Checkpoint:
    """The positions of all shards, by mapping and stream; a stream that was made anew begins with none."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises: StartError when it is not what this program wrote.
        """
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
        """Give the positions of one event source mapping in one stream, by shard: change them, then `save`."""
        return self._streams.setdefault(f"{mapping} {stream}", {})

    def passed(self, mapping: str, label: str) -> int:
        """Return the sequence number up to which a mapping has read the stream with this label; 0 for none yet."""
        for stream, shards in self._streams.items():
            if stream.startswith(f"{mapping} ") and stream.endswith(f"/stream/{label}"):
                return min((int(position.sequence or 0) for position in shards.values()), default=0)
        return 0

    def save(self) -> None:
        """Write all positions; a reader, and a crash, finds the old file or the new one. Raises: OSError."""
        text = json.dumps(
            {
                stream: {shard: asdict(position) for shard, position in shards.items()}
                for stream, shards in self._streams.items()
            },
            indent=1,
        )
        temporary = self._path.with_suffix(".new")
        temporary.write_text(text, "utf-8")
        os.replace(temporary, self._path)  # noqa: PTH105 - the name says what matters: it is atomic


def _corrupt(path: Path, error: Exception) -> StartError:
    return StartError(
        f"the data folder is corrupt: {path}: {error} (without that file the stream is read again from its start)"
    )
