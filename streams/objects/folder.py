"""Objects in a folder: a file each, written aside, then linked where there is none, or renamed under the folder's lock
where another stands. `obstore` is not used here: its local store has no update by etag, and syncs nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streams.files import locked, put, put_new
from streams.objects.store import Stored, checked, content_of

LOCK = ".objects.lock"


@dataclass(frozen=True, slots=True)
class FolderStore:
    """The objects in `folder`. Its writers share a machine, or a file system whose locks reach all of them."""

    folder: Path

    @property
    def name(self) -> str:
        """The address, for messages."""
        return str(self.folder)

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        """See `ObjectStore`."""
        path, data = self.folder / checked(key), content_of(content)
        if put_new(path, data, forced=forced):
            return True
        with suppress(FileNotFoundError):  # deleted since
            return path.read_bytes() == data
        return False

    def put_if_match(self, key: str, content: bytes, etag: str, *, forced: bool = True) -> bool:
        """See `ObjectStore`."""
        path = self.folder / checked(key)
        with locked(self.folder / LOCK):
            try:
                found = path.read_bytes()
            except FileNotFoundError:
                return False
            if _etag(found) != etag:
                return found == content
            put(path, content, forced=forced)
        return True

    def get(self, key: str) -> Stored:
        """See `ObjectStore`."""
        data = (self.folder / checked(key)).read_bytes()
        return Stored(data, _etag(data))

    def holds(self, key: str) -> bool:
        """See `ObjectStore`."""
        return (self.folder / checked(key)).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        """See `ObjectStore`."""
        for path in sorted((self.folder / checked(prefix)).rglob("*")):
            key = path.relative_to(self.folder)
            if not any(part.startswith(".") for part in key.parts) and path.is_file():
                yield key.as_posix()

    def older(self, prefix: str, before_s: float) -> Iterator[str]:
        """See `ObjectStore`."""
        for key in self.list(prefix):
            with suppress(FileNotFoundError):  # deleted meanwhile
                if (self.folder / key).stat().st_mtime < before_s:
                    yield key

    def delete(self, key: str) -> None:
        """See `ObjectStore`."""
        (self.folder / checked(key)).unlink(missing_ok=True)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
