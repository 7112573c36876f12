"""whylogs profiles of the replies, one for each alias, version, window of event time and partition.

`<root>/<alias>/version=<version>/<start>/partition=<p>.<next offset>.bin` has every event of that partition up to
the offset in its name, once. The rows that a worker had not yet profiled when it died the next one takes from the lake.
Two workers may hold rows of one partition for a while (the older one froze, or ends later than it lost the partition):
each leaves out those that the newest file has.
Each file is whylogs' own format; `load` merges the partitions. whylogs takes seconds to import: only when it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from monitor.describe.descriptors import Describer
from streams.files import put
from streams.lake import table as lake
from streams.lake.profile_windows import ProfileWindow, folder, window_start
from streams.topics import INFERENCE

if TYPE_CHECKING:
    from whylogs.core import DatasetProfileView

Floats = NDArray[np.float64]
END = 2**63 - 1  # beyond every offset
Part = tuple[NDArray[np.int64], Floats]  # offsets and descriptors


@dataclass(frozen=True, slots=True)
class Described:
    """Consecutive events of one partition."""

    aliases: Sequence[str]
    versions: Sequence[str]
    times_ms: Sequence[int]
    offsets: Sequence[int]
    values: Floats


def load(at: Path) -> DatasetProfileView | None:
    """Return the merged profile of a window, over all partitions; None where there is none."""
    from streams.lake import whylogs_format as whylogs

    newest = {partition: path for partition in _partitions(at) if (path := _newest(at, partition)[1])}
    return whylogs.merged([whylogs.read(path) for path in newest.values()]) if newest else None


@dataclass(slots=True)
class Profiler:
    """Profiles one partition; single use: `resume` first."""

    root: Path
    lake: Path
    partition: int
    window_ms: int
    flush_s: float
    describe: Describer = field(default_factory=Describer)
    incarnation: int = 0  # of the topic, whose offsets begin again with each
    next_offset: int = 0
    flushed_s: float = 0.0
    pending: dict[ProfileWindow, list[Part]] = field(default_factory=dict)

    def resume(self, first: int) -> None:
        """Track the rows that the lake holds before the offset `first` and no profile has; begin at `first`."""
        if self._checkpoint() is None:
            put(self._checkpoint_path, str(first).encode())
        self.catch_up(first)
        self.next_offset = first

    def catch_up(self, end: int = END) -> None:
        """Track the rows that the lake holds before `end` and no profile has; none in a new place."""
        since = self._checkpoint()
        if since is None:
            return
        self.next_offset = since
        for table in lake.span(self.lake, INFERENCE, self.partition, since, end, self.incarnation):
            for low in range(0, table.num_rows, 1_000):
                self.track(_described(table.slice(low, 1_000), self.describe))

    def track(self, rows: Described) -> None:
        """Take events; they are in the files after the next `flush`. Those taken before are left out."""
        places: dict[ProfileWindow, list[int]] = {}
        for i, (alias, version, time_ms) in enumerate(zip(rows.aliases, rows.versions, rows.times_ms, strict=True)):
            if rows.offsets[i] >= self.next_offset:
                places.setdefault(ProfileWindow(alias, version, window_start(time_ms, self.window_ms)), []).append(i)
        for window, new in places.items():
            offsets = np.array([rows.offsets[i] for i in new], dtype=np.int64)
            self.pending.setdefault(window, []).append((offsets, rows.values[new]))
        self.next_offset = max([self.next_offset, *(offset + 1 for offset in rows.offsets[-1:])])

    def due(self, now_s: float) -> bool:
        """Return whether it is time to write."""
        return now_s - self.flushed_s >= self.flush_s and bool(self.pending)

    def flush(self, now_s: float) -> None:
        """Write the tracked rows, but for those that another worker wrote."""
        for window, parts in self.pending.items():
            self._write(window, parts)
        self.pending.clear()
        self.flushed_s = now_s
        put(self._checkpoint_path, str(self.next_offset).encode())

    def _write(self, window: ProfileWindow, parts: Sequence[Part]) -> None:
        from streams.lake import whylogs_format as whylogs

        at = folder(self.root, window)
        known, path = _newest(at, self._name)
        values = np.concatenate([values[offsets >= known] for offsets, values in parts])
        if not len(values) or known >= self.next_offset:
            return
        view = whylogs.profile(self.describe.names, values)
        whole = whylogs.merged([whylogs.read(path), view]) if path else view
        put(at / f"partition={self._name}.{self.next_offset:020d}.bin", whylogs.to_bytes(whole))
        _sweep(at, self._name)

    @property
    def _name(self) -> str:
        return f"{self.partition}-{self.incarnation}" if self.incarnation else str(self.partition)

    @property
    def _checkpoint_path(self) -> Path:
        return self.root / f".partition={self._name}.next"

    def _checkpoint(self) -> int | None:
        """The offset up to which everything is written; None for a new place."""
        try:
            return int(self._checkpoint_path.read_text())
        except (FileNotFoundError, ValueError):
            return None


def _described(table: pa.Table, describe: Describer) -> Described:
    aliases, versions, times_ms, offsets = (
        table.column(name).to_pylist() for name in ("alias", "version", "time_ms", "offset")
    )
    return Described(aliases, versions, times_ms, offsets, describe(lake.replies(table)))


def _newest(at: Path, partition: str) -> tuple[int, Path | None]:
    found = [(int(path.name.split(".")[1]), path) for path in at.glob(f"partition={partition}.*.bin")]
    return max(found, key=lambda each: each[0], default=(0, None))


def _sweep(at: Path, partition: str) -> None:
    """Deletes all but the newest, so that a reader of the whole folder counts every event once."""
    newest = _newest(at, partition)[1]
    for path in at.glob(f"partition={partition}.*.bin"):
        if path != newest:
            path.unlink(missing_ok=True)


def _partitions(at: Path) -> Iterable[str]:
    return sorted({path.name.partition("=")[2].partition(".")[0] for path in at.glob("partition=*.bin")})
