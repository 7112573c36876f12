"""A bucket's cache, kept small.

The rule: **nothing that was used within a day is removed.** A tree is used when it is fetched, and in each pass of a
reconciler whose routes want it, so what an engine serves is always in use, and so are the candidate and the dataset of
a job that was begun within a day. Of the rest, what the store has no more goes, and beyond the room that the operator
gives, what was used longest ago. The next fetch brings back what is missed."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from streams.files import try_lock
from streams.objects.store import StorageError
from streams.objects.tree import CACHE_MARK, DIGEST, Trees, lock_of, part_of

log = structlog.get_logger()

UNUSED_S = 86_400.0
EVERY_S = 3_600.0
GB = 1_000_000_000
REPORTS = "reports"  # fetched for an operator
OURS = re.compile(r"\.[0-9a-f]{64}\.(lock|part)|\.new-.*")


@dataclass(frozen=True, slots=True)
class CachedTree:
    """A tree in the cache."""

    path: Path
    used_s: float  # when, since the epoch
    size: int  # bytes


def tidy(trees: Trees, most_gb: float, now_s: float) -> int:
    """Remove from a bucket's cache what is no longer needed; return how many trees went. `now_s`: since the epoch.
    Nothing is done to a folder that is the store, nor to one that had other things in it when it became the cache.
    Where the bucket is away, what it has no more stays until the next time."""
    if not trees.is_cache or not (trees.home / CACHE_MARK).exists():
        return 0
    found = sorted(_cached(trees.home), key=lambda each: each.used_s)
    gone = _gone(trees, found)
    left, removed = sum(each.size for each in found), 0
    for each in found:
        unwanted = now_s - each.used_s > UNUSED_S and (each.path in gone or left > most_gb * GB)
        if unwanted and _removed(each.path, now_s):
            left, removed = left - each.size, removed + 1
    for path in _leftovers(trees.home, now_s):
        _remove(path)
    if removed:
        log.info("cache tidied", trees=removed, left_gb=round(left / GB, 3))
    return removed


def tidied(trees: Trees, most_gb: float) -> None:
    """Run `tidy` now; where that fails, a warning says so, and the cache stays as it is."""
    try:
        tidy(trees, most_gb, time.time())
    except OSError as error:
        log.warning("cache cannot be tidied, will be tried again", why=str(error))


def keep_tidy(trees: Trees, most_gb: float, stop: threading.Event) -> None:
    """Start a thread that tidies now and every hour, until `stop`."""

    def work() -> None:
        tidied(trees, most_gb)
        while not stop.wait(EVERY_S):
            tidied(trees, most_gb)

    threading.Thread(target=work, name="cache", daemon=True).start()


def _cached(home: Path) -> Iterator[CachedTree]:
    for folder, names, _ in os.walk(home):
        for name in [name for name in names if DIGEST.fullmatch(name)]:
            names.remove(name)
            path = Path(folder, name)
            try:
                size = sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
                yield CachedTree(path, path.stat().st_mtime, size)
            except FileNotFoundError:  # another process tidies as well
                continue


def _gone(trees: Trees, found: list[CachedTree]) -> set[Path]:
    """The trees that the store has no more."""
    gone: set[Path] = set()
    for folder in {each.path.parent for each in found}:
        try:
            there = set(trees.digests(folder.relative_to(trees.home).as_posix()))
        except (StorageError, ValueError) as error:  # it is away, or the folder's name is no key
            log.warning("what the store has no more stays in the cache", folder=str(folder), why=str(error))
            continue
        gone |= {each.path for each in found if each.path.parent == folder and each.path.name not in there}
    return gone


def _removed(path: Path, now_s: float) -> bool:
    """Remove the tree, unless a process fetches it or has used it since; return whether it is gone."""
    lock = try_lock(lock_of(path))
    if lock is None:
        return False
    with lock:
        if not path.is_dir() or now_s - path.stat().st_mtime <= UNUSED_S:
            return False
        part = part_of(path)
        shutil.rmtree(part, ignore_errors=True)
        path.rename(part)
        shutil.rmtree(part, ignore_errors=True)
        lock_of(path).unlink(missing_ok=True)
    return True


def _leftovers(home: Path, now_s: float) -> Iterator[Path]:
    """What processes left that died, and fetched reports: what is ours by its name, and was not touched for a day."""
    for folder, names, files in os.walk(home):
        hidden = [name for name in (*names, *files) if OURS.fullmatch(name)]
        names[:] = [name for name in names if not name.startswith(".") and not DIGEST.fullmatch(name)]
        for name in [*hidden, *(files if Path(folder) == home / REPORTS else ())]:
            path = Path(folder, name)
            with suppress(FileNotFoundError):  # another process tidies as well
                if now_s - path.stat().st_mtime > UNUSED_S:
                    yield path


def _remove(path: Path) -> None:
    """Remove a leftover; one that a process still holds the lock of stays."""
    if path.suffix not in (".lock", ".part"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return
    lock_path = path.with_suffix(".lock")
    lock = try_lock(lock_path)
    if lock is not None:
        with lock:
            shutil.rmtree(path.with_suffix(".part"), ignore_errors=True)
            lock_path.unlink(missing_ok=True)
