"""A disk that is really full: a small one in memory, mounted for the test."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog.testing

from streams.files import probed, put
from streams.journal import metrics
from streams.objects.folder import FolderStore
from streams.topics import FEEDBACK
from tests.streams.support.journaled import ids, journal, numbers, publish, segments, waiting

SIZE = 512 * 1024


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Half a megabyte."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=False)


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return filler
    return filler


def test_a_journal_counts_what_found_no_room_keeps_the_rest_and_goes_on(small: Path) -> None:
    ours, folder = journal(small / "spool"), small / "spool"
    assert publish(ours, range(100)) == [True] * 100
    before, filler = metrics.DROPPED.labels(FEEDBACK.name, "disk")._value.get(), fill(small)
    with structlog.testing.capture_logs() as logged:
        kept = publish(ours, range(100, 400))
    assert logged[0]["error"].startswith(f"{folder}: ")
    assert kept[-1] is False
    lost = kept.count(False)
    assert metrics.DROPPED.labels(FEEDBACK.name, "disk")._value.get() - before == lost > 100
    filler.unlink()
    assert publish(ours, range(1_000, 1_100)) == [True] * 100
    ours.close()
    assert len(ids(waiting(folder))) == 100 + kept.count(True) + 100
    assert ids(waiting(folder))[:100] == numbers(100)
    assert ours.size_bytes == sum(path.stat().st_size for path in segments(folder))


def test_a_role_on_it_is_not_ready_and_says_why(small: Path) -> None:
    fill(small)
    assert "bytes free, expected 1000 at least: free some" in probed(small, 1_000)


def test_a_role_on_one_that_became_read_only_is_not_ready_and_says_why(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert probed(small, 1_000) == f"{small} is read-only, expected a volume that this process may write"
    subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
    assert probed(small, 1_000) == ""


def test_what_stands_there_stays_whole_when_it_cannot_be_replaced(small: Path) -> None:
    put(small / "routes.json", b"known")
    store = FolderStore(small / "store")
    assert store.put_if_absent("a/b", b"known")
    etag, filler = store.get("a/b").etag, fill(small)
    with pytest.raises(OSError, match="No space left"):
        put(small / "routes.json", bytes(100_000))
    with pytest.raises(OSError, match="No space left"):
        store.put_if_match("a/b", bytes(100_000), etag)
    assert ((small / "routes.json").read_bytes(), store.get("a/b").data) == (b"known", b"known")
    filler.unlink()
    assert store.put_if_match("a/b", b"new", etag)


def test_a_file_that_finds_no_room_is_named(small: Path) -> None:
    fill(small)
    with pytest.raises(OSError, match=r"No space left on device: '.*\.place\.id\..*part'"):
        put(small / "place.id", bytes(8_192))
    assert [each.name for each in small.iterdir()] == ["filler"]
