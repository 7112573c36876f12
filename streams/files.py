"""Files that a reader sees whole or not at all, and that their owner alone may read: they hold what clients asked and
were answered. Folders that others may lock."""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

FOLDER, FILE, UMASK = 0o700, 0o600, 0o077
HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)  # by which a system says that another process has the lock
UNLINKABLE = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)  # by which one says that it has no hard links
Stamp = tuple[int, int, int]


def stamp(path: Path) -> Stamp | None:
    """Return a file's time, size and inode: another stamp shows another content. None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def utf8(data: bytes) -> str:
    """Return a text file's content, without the mark of UTF-8 that some editors put at its beginning.

    Raises UnicodeError for a file that is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnicodeError("is UTF-16, expected UTF-8: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte {error.start + 1} is not UTF-8: save it as UTF-8") from error


def put(path: Path, data: bytes, *, forced: bool = False) -> None:
    """Replace a private file as a whole, and make its folder where it is missing. `forced`: it survives a power cut.

    Raises OSError; the old file is there then."""
    with _written_aside(path, data, forced=forced) as part:
        part.replace(path)


def put_new(path: Path, data: bytes, *, forced: bool = False) -> bool:
    """Put a private file as `put` does, unless there is one; return whether there was none. No lock is taken, which a
    process that froze would hold."""
    with _written_aside(path, data, forced=forced) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in UNLINKABLE:
                raise
            why = f"{error.strerror}: expected a file system with hard links"
            raise OSError(error.errno, why, str(path)) from error
    return True


@contextmanager
def _written_aside(path: Path, data: bytes, *, forced: bool) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")  # two workers may write one name at once
    try:
        _write(part, data, forced)
        yield part
    finally:
        part.unlink(missing_ok=True)
    if forced:
        force(path.parent)


def _write(path: Path, data: bytes, forced: bool) -> None:
    """Raise OSError, which names the file: a full disk's own does not."""
    try:
        with open(path, "wb", opener=private_opener) as file:
            file.write(data)
            if forced:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def write_private(path: Path, data: bytes) -> None:
    """Write a private file in place, for a path that an operator names: it may be a pipe."""
    with open(path, "wb", opener=private_opener) as file:
        file.write(data)


def private_opener(path: str, flags: int) -> int:
    """Open a file for `open(opener=...)`; a new one is its owner's alone."""
    return os.open(path, flags, FILE)


def private_folder(path: Path) -> Path:
    """Make the folder for its owner alone; take from an old one the rights that everybody has in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=FOLDER, exist_ok=True)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & stat.S_IRWXO and path.stat().st_uid == os.geteuid():
        path.chmod(mode & ~stat.S_IRWXO)
    return path


def force(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive a power cut; raise OSError where the disk fails."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; wait for as long as another process holds it. Its holder may remove it,
    as the last that it does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "ab", opener=private_opener) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _stands(path, file):  # else the one who waits now would hold another lock than the one who comes next
                yield
                return


def _stands(path: Path, file: IO[bytes]) -> bool:
    """Return whether the open file is the one that has this name now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def try_lock(path: Path) -> IO[bytes] | None:
    """Return the lock, held until it is closed or the process ends; None where another process holds it.

    Raises OSError where it cannot be locked at all, such as on a file system without locks."""
    file = open(path, "ab", opener=private_opener)  # noqa: SIM115 - its caller closes it
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        if error.errno in HELD:
            return None
        raise OSError(error.errno, f"{error.strerror}: expected a file system with locks", str(path)) from error
    return file


def probed(folder: Path, least: int) -> str:
    """Return why files cannot be written into the folder, or that less than `least` bytes are free there; empty where
    all is well."""
    try:
        free = shutil.disk_usage(folder).free
        if free < least:
            return f"{folder} has {free} bytes free, expected {least} at least: free some, or enlarge the volume"
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            return f"{folder} is read-only, expected a volume that this process may write"
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{folder} cannot be written by this process's user"
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""
