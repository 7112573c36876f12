"""What the journal kept is there whatever kills its writer; what it did not keep is counted."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams import codec
from streams.journal import metrics
from streams.journal import segments as folders
from streams.journal.cursor import Cursor, CursorFile
from streams.journal.writer import Fsync, Journal, JournalSettings
from streams.topics import FEEDBACK
from tests.streams.support.journaled import event, ids, journal, numbers, publish, segments, waiting

ROOT = Path(__file__).parents[3]
WRITER = """
import itertools, sys
from pathlib import Path
from tests.streams.support.journaled import journal, publish
ours = journal(Path(sys.argv[1]), segment_bytes=20_000)
for number in itertools.count():
    assert publish(ours, [number]) == [True]
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def dropped(reason: str) -> float:
    return float(metrics.DROPPED.labels(FEEDBACK.name, reason)._value.get())


def test_events_wait_in_order_across_segments_and_restarts(tmp_path: Path) -> None:
    ours = journal(tmp_path, segment_bytes=1_000)
    assert publish(ours, range(20)) == [True] * 20
    ours.close()
    ours = journal(tmp_path, segment_bytes=1_000)
    publish(ours, range(20, 30))
    ours.close()
    assert len(segments(tmp_path)) > 5
    assert ours.size_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    assert ids(waiting(tmp_path)) == numbers(30)


def test_an_event_waits_as_kafka_will_have_it(tmp_path: Path) -> None:
    ours = journal(tmp_path)
    ours.publish(FEEDBACK, event("e"), "the-id", 1_750_000_000_123)
    (record,) = waiting(tmp_path)
    assert (record.topic, record.key, record.value) == (FEEDBACK.name, b"one-key", codec.encode(event("e")))
    assert record.headers == codec.headers(event("e"), id="the-id", time_ms=1_750_000_000_123, source="gateway/test")
    assert dict(record.headers)["ce_time"] == b"2025-06-15T15:06:40.123Z"
    ours.close()


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_it_was_told_is_kept(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    lines = list(itertools.takewhile(lambda line: int(line) < 500, writer.stdout))
    os.kill(writer.pid, signal.SIGKILL)
    told = [*lines, *writer.stdout.read().split()]
    writer.wait()
    found = ids(waiting(tmp_path))
    assert found == numbers(len(found))
    assert len(found) >= len(told) >= 500


@pytest.mark.slow
@settings(max_examples=30)
@given(cut=st.integers(1, 400))
def test_a_torn_end_costs_the_torn_record_only(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = journal(folder)
        publish(ours, range(5))
        ours.close()
        (path,) = segments(folder)
        size = path.stat().st_size
        os.truncate(path, size - cut)
        ours = journal(folder)
        kept = (size - cut) // (size // 5)
        assert path.stat().st_size == kept * (size // 5)
        publish(ours, ["last"])
        assert ids(waiting(folder)) == [*numbers(kept), "last"]
        ours.close()


def test_damage_in_the_midst_is_left_for_the_shipper_to_count(tmp_path: Path) -> None:
    ours = journal(tmp_path)
    publish(ours, range(3))
    ours.close()
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    journal(tmp_path).close()
    assert path.read_bytes() == data


def test_a_new_writer_goes_on_after_the_highest_number(tmp_path: Path) -> None:
    for number in (1, 2):
        ours = journal(tmp_path)
        publish(ours, [number])
        ours.close()
    assert [int(path.stem) for path in segments(tmp_path)] == [1, 2]
    for path in segments(tmp_path):  # all shipped
        path.unlink()
    CursorFile(tmp_path).write(Cursor(segment=3))
    ours = journal(tmp_path)
    publish(ours, [3])
    assert [int(path.stem) for path in segments(tmp_path)] == [4]
    ours.close()


def test_beyond_the_bound_events_are_dropped_and_counted_and_older_ones_stay(tmp_path: Path) -> None:
    now, before = [0.0], dropped("journal_full")
    ours = Journal(tmp_path, JournalSettings(max_bytes=5_000, segment_bytes=1_000), "test", clock=lambda: now[0])
    kept = publish(ours, range(100))
    assert kept == sorted(kept, reverse=True)
    assert 5 < sum(kept) < 50
    assert dropped("journal_full") - before == kept.count(False)
    assert sum(path.stat().st_size for path in segments(tmp_path)) == ours.size_bytes <= 5_000
    assert ids(waiting(tmp_path)) == numbers(sum(kept))

    segments(tmp_path)[0].unlink()  # shipped; the writer looks again when it is time
    assert publish(ours, ["too soon"]) == [False]
    now[0] += 0.1
    assert publish(ours, ["again"]) == [True]
    ours.close()


def test_it_learns_what_was_shipped_whenever_a_segment_is_full(tmp_path: Path) -> None:
    ours = journal(tmp_path, segment_bytes=1_000)
    for number in range(50):
        assert publish(ours, [number]) == [True]
        for path in segments(tmp_path)[:-1]:
            path.unlink()
    assert ours.size_bytes <= 2_000
    ours.close()


def test_an_event_as_large_as_the_journal_finds_room_once_it_is_empty(tmp_path: Path) -> None:
    ours = Journal(tmp_path, JournalSettings(max_bytes=5_000, segment_bytes=1_000), "test", itertools.count().__next__)
    large = event("large", "x" * 4_470)
    publish(ours, [1])
    assert not ours.publish(FEEDBACK, large, "large", 1)
    for path in segments(tmp_path):
        path.unlink()
    assert ours.publish(FEEDBACK, large, "large", 1)
    ours.close()


def full(fd: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def half(fd: int, data: bytes, write: Callable[[int, bytes], int] = os.write) -> int:
    return write(fd, data[: len(data) // 2])


@pytest.mark.parametrize("write", [full, half])
def test_a_full_disk_costs_the_events_that_found_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[int, bytes], int]
) -> None:
    before = dropped("disk")
    ours = journal(tmp_path)
    publish(ours, [0, 1])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        assert publish(ours, ["lost", "lost"]) == [False, False]
    assert publish(ours, [2]) == [True]
    assert dropped("disk") - before == 2
    assert ids(waiting(tmp_path)) == numbers(3)
    assert ours.size_bytes == sum(path.stat().st_size for path in segments(tmp_path))
    ours.close()


def test_half_an_event_that_cannot_be_taken_back_ends_its_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = journal(tmp_path)
    publish(ours, [0])
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        patched.setattr(os, "ftruncate", full)
        assert publish(ours, ["lost"]) == [False]
    assert publish(ours, [1]) == [True]
    assert len(segments(tmp_path)) == 2
    assert ids(waiting(tmp_path)) == numbers(2)
    ours.close()


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    ours = journal(tmp_path)
    with pytest.raises(RuntimeError, match=f"journal {tmp_path}: another process writes"):
        journal(tmp_path)
    ours.close()
    journal(tmp_path).close()


def test_a_shipper_that_looks_whether_the_lock_is_free_turns_no_writer_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = folders.locked(tmp_path, folders.WRITER)
    assert held is not None
    monkeypatch.setattr("streams.journal.writer.time.sleep", lambda _: held.close())
    journal(tmp_path).close()


def test_what_cannot_be_kept_never_raises(tmp_path: Path) -> None:
    odd, closed = dropped("unencodable"), dropped("closed")
    ours = journal(tmp_path)
    assert not ours.publish(FEEDBACK, event("odd", label="\ud800"), "odd", 1)
    assert not ours.publish(FEEDBACK, event("vast", label="x" * 17_000_000), "vast", 1)
    ours.close()
    ours.close()
    assert publish(ours, ["late"]) == [False]
    assert (dropped("unencodable") - odd, dropped("closed") - closed) == (2, 1)
    assert waiting(tmp_path) == []


def test_losses_are_told_once_a_second(tmp_path: Path) -> None:
    now = [0.0]
    ours = Journal(tmp_path, JournalSettings(), "test", clock=lambda: now[0])
    ours.close()
    with capture_logs() as logs:
        publish(ours, range(50))
        now[0] = 1.0
        publish(ours, [50])
    assert [(each["topic"], each["reason"], each["events"]) for each in logs] == [
        (FEEDBACK.name, "closed", 1),
        (FEEDBACK.name, "closed", 50),
    ]


class Forced:
    """Stands in for `os.fsync`; remembers the files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        self.some = threading.Event()
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, fd: int) -> None:
        self.files.append(Path(os.readlink(f"/proc/self/fd/{fd}")).name)
        self.some.set()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are Linux's")
def test_fsync_is_when_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced = Forced(monkeypatch)
    ours = journal(tmp_path / "always", fsync=Fsync.ALWAYS)
    publish(ours, [0])
    assert forced.files == ["always", "000000000001.journal"]
    publish(ours, [1])
    assert forced.files[2:] == ["000000000001.journal"]
    ours.close()

    forced.files.clear()
    forced.some.clear()
    ours = journal(tmp_path / "interval", fsync=Fsync.INTERVAL, fsync_s=0.001)
    assert not forced.some.wait(0.02)
    publish(ours, [0])
    assert forced.some.wait(10)
    ours.close()
    assert forced.files[:2] == ["000000000001.journal", "interval"]

    forced.files.clear()
    ours = journal(tmp_path / "never", fsync=Fsync.NEVER)
    publish(ours, [0])
    ours.close()
    assert forced.files == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are Linux's")
def test_every_segment_is_forced_also_when_the_next_has_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = Forced(monkeypatch)
    ours = journal(tmp_path, segment_bytes=500, fsync=Fsync.INTERVAL, fsync_s=60.0)
    publish(ours, range(10))
    ours.close()
    assert {path.name for path in segments(tmp_path)} <= set(forced.files)
    assert not [fd for fd in os.listdir("/proc/self/fd") if target(fd).startswith(f"{tmp_path}/")]


def target(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_settings_say_what_they_expect() -> None:
    with pytest.raises(ValueError, match="segment_bytes is 6, expected 1 to half of max_bytes"):
        JournalSettings(max_bytes=10, segment_bytes=6)
    with pytest.raises(ValueError, match="fsync_s is 0"):
        JournalSettings(fsync_s=0)
