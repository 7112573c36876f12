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


class RejectedRecord(msgspec.Struct, frozen=True):
    """A record as it would have been sent."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Rejects:
    """A folder that holds such records up to `most_bytes`; beyond that a record is lost, and the log names it."""

    folder: Path
    most_bytes: int = MOST_BYTES

    def keep(self, record: RejectedRecord, error: BaseException) -> Path | None:
        """Write a record to its file and return that; None where there is no room. Again changes nothing. Never
        raises."""
        about = {"topic": record.topic, "bytes": len(record.value), "error": repr(error)}
        data = msgspec.json.encode(record)
        path = self.folder / f"{record.topic}-{hashlib.sha256(data).hexdigest()[:16]}.json"
        try:
            if not path.exists():
                self._write(path, data)
        except OSError as trouble:
            log.error("record lost: no broker takes it, and it cannot be kept aside", reason=str(trouble), **about)
            return None
        log.error("record kept aside: no broker takes it", path=str(path), **about)
        return path

    def _write(self, path: Path, data: bytes) -> None:
        if sum(each.stat().st_size for each in self.folder.glob("*.json")) + len(data) > self.most_bytes:
            raise OSError(f"{self.folder} holds {self.most_bytes} bytes; look at what is in there, and remove it")
        put(path, data)


def too_large(error: object) -> bool:
    """Return whether a broker or a client refuses a record for its size, which no repetition changes."""
    return type(error).__name__ in TOO_LARGE
