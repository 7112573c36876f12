"""Records that no broker takes, each kept as a file of its own, so that the others go on and nothing is lost unread."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from streams.codec import Headers
from streams.files import put

log = structlog.get_logger()

MOST_BYTES = 256 * 1_048_576
TOO_LARGE = frozenset({"MessageSizeTooLargeError", "RecordListTooLargeError"})  # in kafka-python and in aiokafka


class Kept(msgspec.Struct, frozen=True):
    """A record as it would have been sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Aside:
    """Keeps records in a folder up to `most_bytes`; what comes beyond them is lost, and said to be."""

    folder: Path
    most_bytes: int = MOST_BYTES

    def keep(self, record: Kept, error: BaseException) -> Path | None:
        """The record's file, None where there is no room for it. Keeping it again changes nothing. Never raises."""
        told = {"topic": record.topic, "bytes": len(record.value), "error": repr(error)}
        data = msgspec.json.encode(record)
        path = self.folder / f"{record.topic}-{hashlib.sha256(data).hexdigest()[:16]}.json"
        try:
            if not path.exists():
                self._write(path, data)
        except OSError as trouble:
            log.error("record lost: no broker takes it, and it cannot be kept aside", reason=str(trouble), **told)
            return None
        log.error("record kept aside: no broker takes it", path=str(path), **told)
        return path

    def _write(self, path: Path, data: bytes) -> None:
        if sum(each.stat().st_size for each in self.folder.glob("*.json")) + len(data) > self.most_bytes:
            raise OSError(f"{self.folder} holds {self.most_bytes} bytes; look at what is in there, and remove it")
        put(path, data)


def too_large(error: object) -> bool:
    """Whether a broker or a client refuses the record for its size, which no repetition changes."""
    return type(error).__name__ in TOO_LARGE
