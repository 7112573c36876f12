"""The spool keeps order, bounds and every whole record, whatever kills its writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.spool import Fsync, Spool, Spooled

ROOT = Path(__file__).parents[2]
WRITER = """
import sys
from pathlib import Path
from streams.spool import Spool, Spooled
spool = Spool(Path(sys.argv[1]), 1 << 30, segment_bytes=20_000)
for i in range(1_000_000):
    spool.append([Spooled("t", str(i).encode(), b"v" * 100, [("ce_id", str(i).encode())])])
    print(i, flush=True)
"""


def record(number: int, size: int = 10) -> Spooled:
    return Spooled("topic", str(number).encode(), b"x" * size, [("ce_id", str(number).encode())])


def drained(spool: Spool) -> list[int]:
    found: list[int] = []
    while records := spool.oldest():
        found += [int(r.key) for r in records]
        spool.settle()
    return found


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.spool"))


def test_records_come_back_in_order_across_segments_and_restarts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20, segment_bytes=200)
    assert spool.append([record(i) for i in range(50)]) == 50
    spool.close()
    spool = Spool(tmp_path, 1 << 20, segment_bytes=200, fsync=Fsync.ALWAYS)
    spool.append([record(i) for i in range(50, 60)])
    assert len(segments(tmp_path)) > 5
    assert drained(spool) == list(range(60))
    assert segments(tmp_path) == []
    assert not spool


def test_what_was_not_confirmed_keeps_its_place(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append([record(i) for i in range(5)])
    first = spool.oldest()
    spool.append([record(i) for i in range(5, 8)])
    spool.settle(first[2:])
    spool.close()
    assert drained(Spool(tmp_path, 1 << 20)) == [2, 3, 4, 5, 6, 7]


def test_the_bound_holds_and_says_how_many_fitted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000, segment_bytes=300)
    taken = spool.append([record(i, 100) for i in range(100)])
    assert 0 < taken < 10
    assert sum(path.stat().st_size for path in segments(tmp_path)) == spool.size_bytes <= 1_000
    assert spool.append([record(100, 100)]) == 0
    assert drained(spool) == list(range(taken))


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 300), junk=st.binary(max_size=30))
def test_a_torn_end_costs_the_torn_record_only(cut: int, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = Spool(folder, 1 << 20)
        spool.append([record(i) for i in range(10)])
        spool.close()
        (path,) = segments(folder)
        size = path.stat().st_size
        path.write_bytes(path.read_bytes()[: size - min(cut, size)] + junk)
        spool = Spool(folder, 1 << 20)
        spool.append([record(99)])
        found = drained(spool)
        kept = (size - min(cut, size)) // (size // 10)
        assert found == [*range(kept), 99]
        spool.close()


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append([record(i) for i in range(3)])
    spool.close()
    (path,) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert drained(Spool(tmp_path, 1 << 20)) == [0, 1]


def test_a_killed_writer_loses_nothing_it_was_told_is_safe(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 500:
            break
    os.kill(writer.pid, signal.SIGKILL)
    last = int([line, *writer.stdout.read().split()][-1])
    writer.wait()
    found = drained(Spool(tmp_path, 1 << 30))
    assert found == list(range(len(found)))
    assert len(found) >= last + 1


def test_two_processes_cannot_share_a_folder(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1_000)
    with pytest.raises(RuntimeError, match="another process uses it"):
        Spool(tmp_path, 1_000)
    spool.close()
    Spool(tmp_path, 1_000).close()
