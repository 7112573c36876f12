"""Trees: folders of files under a digest, each there as a whole or not at all.

In a folder a tree is renamed into place, and used there. In a bucket each file is an object named after its content,
and the list of the files is put last: without it there is no tree. Readers fetch a tree into their cache once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streams.files import force, locked, private_folder
from streams.objects.store import ObjectStore, checked, replace

LISTING = "tree.json"
CACHE_MARK = ".homeostat-cache"  # in a cache's folder: all in it is ours
DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedTree(ValueError):
    """A tree is there, but its bytes are not those that were put; the message names key, found and expected."""


class TreeFile(msgspec.Struct, frozen=True):
    """One file of a tree."""

    sha256: str
    size: int  # bytes


Listing = dict[str, TreeFile]  # by name


@dataclass(frozen=True, slots=True)
class Trees:
    """The trees of a store. A key is a prefix and the digest. `home` is where they lie as folders: the store itself
    where it is a folder, else the cache. Methods that reach the store raise StorageError where it is away."""

    store: ObjectStore
    home: Path

    @property
    def is_cache(self) -> bool:
        """Whether trees are fetched from a bucket, and not used where they stand."""
        return self.store.folder is None

    @contextmanager
    def scratch(self, prefix: str) -> Iterator[Path]:
        """Give a folder for the files of a new tree under the prefix; what was not put is removed."""
        parent = self._home() / checked(prefix)
        parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=parent, prefix=".new-"))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def put(self, key: str, scratch: Path) -> Path:
        """Put the files of a `scratch` under the key and return the folder where they lie now, which survives a power
        cut. A tree that is there already stays."""
        for path in scratch.iterdir():
            force(path)
        if self.is_cache:
            self._upload(key, scratch)
        path = self.home / checked(key)
        scratch.chmod(0o755)
        try:
            scratch.rename(path)
        except OSError:  # another process was quicker with the same tree
            if not path.is_dir():
                raise
        force(path.parent)
        return path

    def at_hand(self, key: str) -> bool:
        """Return whether `fetch` would ask nothing of a bucket."""
        return not self.is_cache or (self.home / checked(key)).is_dir()

    def fetch(self, key: str, check: Callable[[Path], object] = bool) -> Path:
        """Return the folder with the tree's files, fetched from a bucket at most once. `check` sees what is fetched
        before it is taken. Raise FileNotFoundError where there is no such tree, DamagedTree where a file is not as it
        was put, and what `check` raises; nothing stays in the cache then."""
        path = self.home / checked(key)
        if self.is_cache:
            self._home()
            with locked(lock_of(path)):  # as a process does that tidies up
                if not path.is_dir():
                    self._download(key, path, check)
                self.used(key)
        elif not path.is_dir():
            raise FileNotFoundError(f"{path}: no such folder")
        return path

    def used(self, key: str) -> None:
        """Note that a fetched tree is used now: the cache keeps it for another day at least."""
        if self.is_cache:
            with suppress(FileNotFoundError):
                os.utime(self.home / checked(key))

    def forget(self, key: str) -> None:
        """Remove the folder: a bucket's tree is fetched again then."""
        shutil.rmtree(self.home / checked(key), ignore_errors=True)

    def delete(self, key: str) -> None:
        """Delete the tree, in the store and here, and what a kill left of a put, a fetch or a deletion of it; one that
        is not there is deleted already. Raise OSError where a file stays."""
        if self.is_cache:
            keys = sorted(self.store.list(key), key=lambda each: not each.endswith(f"/{LISTING}"))  # the listing first
            for each in keys:
                self.store.delete(each)
        path = self.home / checked(key)
        for folder in (path, part_of(path)):
            if folder.exists():
                shutil.rmtree(folder)

    def sweep(self, prefix: str, before_s: float) -> None:
        """Remove what killed writers of trees under the prefix left before that time: folders here, and in a bucket
        files without a listing."""
        for made in (self.home / checked(prefix)).glob(".new-*"):
            if made.stat().st_mtime < before_s:
                shutil.rmtree(made)
        if self.is_cache:
            old = list(self.store.older(prefix, before_s))
            whole = set(self.digests(prefix))  # looked at later: one that was made whole meanwhile stays
            for key in old:
                digest = key.removeprefix(f"{prefix}/").partition("/")[0]
                if DIGEST.fullmatch(digest) and digest not in whole:
                    self.store.delete(key)

    def digests(self, prefix: str) -> list[str]:
        """Return the digests of the trees under the prefix, in their order."""
        if self.is_cache:
            keys = (key.removeprefix(f"{prefix}/") for key in self.store.list(prefix))
            names = [key.removesuffix(f"/{LISTING}") for key in keys if key.endswith(f"/{LISTING}")]
        else:
            names = [path.name for path in (self.home / checked(prefix)).glob("*") if path.is_dir()]
        return sorted(name for name in names if DIGEST.fullmatch(name))

    def _home(self) -> Path:
        """Make the cache, whose datasets hold what clients asked and were answered, for its owner alone. A new or empty
        folder gets the mark of what may be tidied; one that is in use for something else does not."""
        if not self.is_cache:
            return self.home
        fresh = not self.home.is_dir() or not any(self.home.iterdir())
        private_folder(self.home)
        if fresh:
            (self.home / CACHE_MARK).touch()
        return self.home

    def _upload(self, key: str, scratch: Path) -> None:
        listing: Listing = {}
        for path in sorted(scratch.iterdir()):
            data = path.read_bytes()
            listing[checked(path.name)] = TreeFile(hashlib.sha256(data).hexdigest(), len(data))
            replace(self.store, _object(key, path.name, listing[path.name]), data)
        self.store.put_if_absent(f"{key}/{LISTING}", msgspec.json.format(msgspec.json.encode(listing)))

    def _download(self, key: str, path: Path, check: Callable[[Path], object]) -> None:
        listing = self._listing(key)
        scratch = part_of(path)
        shutil.rmtree(scratch, ignore_errors=True)  # what a kill left
        scratch.mkdir()
        try:
            for name, file in listing.items():
                (scratch / name).write_bytes(self._content(_object(key, name, file), file))
                force(scratch / name)
            check(scratch)
            scratch.rename(path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _listing(self, key: str) -> Listing:
        where = f"{key}/{LISTING}"
        data = self.store.get(where).data
        try:
            found = msgspec.json.decode(data, type=Listing)
            for name in found:
                if name != checked(name).rpartition("/")[2]:
                    raise ValueError(f"file {name!r} leads elsewhere")
        except (ValueError, RecursionError) as error:
            raise DamagedTree(
                f"{self.store.name}/{where}: {error}; expected names, each with sha256 and size"
            ) from error
        return found

    def _content(self, where: str, file: TreeFile) -> bytes:
        try:
            data = self.store.get(where).data
        except FileNotFoundError as error:
            raise DamagedTree(f"{self.store.name}/{where}: found nothing, expected {file.size} bytes") from error
        found = TreeFile(hashlib.sha256(data).hexdigest(), len(data))
        if found != file:
            raise DamagedTree(
                f"{self.store.name}/{where}: found {found.size} bytes with sha256 {found.sha256}, "
                f"expected {file.size} bytes with sha256 {file.sha256}"
            )
        return data


def lock_of(path: Path) -> Path:
    """Return the lock of a tree in a cache."""
    return path.with_name(f".{path.name}.lock")


def part_of(path: Path) -> Path:
    """Return the folder of a tree in a cache that is not whole; its lock's holder may write there."""
    return path.with_name(f".{path.name}.part")


def _object(key: str, name: str, file: TreeFile) -> str:
    return f"{key}/{file.sha256}-{name}"
