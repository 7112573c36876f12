"""whylogs profiles of the replies, one for each alias, version, window of event time and partition.

`profiles/<alias>/version=<version>/<start>/partition=<p>.<next offset>.bin` has every event of that partition up to
the offset in its name, once. The rows that a worker had not yet profiled when it died the next one takes from the lake,
from the offset in `profiles/next/partition=<p>` on. Two workers may hold rows of one partition for a while (the older
one froze, or ends later than it lost the partition): each leaves out those that the newest object has.
Each object is whylogs' own format; `load` merges the partitions. whylogs takes seconds to import: only when it is used.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from numpy.typing import NDArray

from monitor.describe.descriptors import Describer
from streams.lake.lake import END, Lake
from streams.lake.profile_windows import NEXT, PROFILES, ProfileWindow, window_start
from streams.lake.table import replies
from streams.objects.store import ObjectStore, Stored, replace
from streams.topics import INFERENCE

if TYPE_CHECKING:
    from whylogs.core import DatasetProfileView

log = structlog.get_logger()

AT_ONCE = 4  # windows that are written
MOST_ROWS = 100_000  # of a partition that wait: some 30 MiB
Floats = NDArray[np.float64]
Part = tuple[NDArray[np.int64], Floats]  # offsets and descriptors


@dataclass(frozen=True, slots=True)
class Described:
    """Consecutive events of one partition."""

    aliases: Sequence[str]
    versions: Sequence[str]
    times_ms: Sequence[int]
    offsets: Sequence[int]
    values: Floats


def load(store: ObjectStore, window: ProfileWindow) -> DatasetProfileView | None:
    """Return the merged profile of a window, over all partitions; None where there is none."""
    from streams.lake import whylogs_format as whylogs

    newest: dict[str, str] = {}
    for key in store.list(f"{PROFILES}/{window.place}"):  # in their order, and numbers have leading zeros
        newest[_partition(key)] = key
    return whylogs.merged([whylogs.read(store.get(key).data) for key in newest.values()]) if newest else None


@dataclass(slots=True)
class Profiler:
    """Profiles one partition; single use: `resume` first. `track` waits for no store, whatever `flush` does."""

    store: ObjectStore
    lake: Lake
    partition: int
    window_ms: int
    describe: Describer = field(default_factory=Describer)
    incarnation: int = 0  # of the topic, whose offsets begin again with each
    topic_id: str = ""  # of that incarnation
    next_offset: int = 0
    pending: dict[ProfileWindow, list[Part]] = field(default_factory=dict)
    overflown: bool = False  # it has let go of its rows: they are to be taken from the lake
    lock: threading.Lock = field(default_factory=threading.Lock)  # for the rows that are tracked
    writing: threading.Lock = field(default_factory=threading.Lock)

    def resume(self, first: int) -> None:
        """Track the rows that the lake holds before the offset `first` and no profile has; begin at `first`."""
        if self._checkpoint() is None:
            self.store.put_if_absent(self._checkpoint_key, str(first).encode(), forced=False)
        self.catch_up(first)
        self.next_offset = first

    def catch_up(self, end: int = END) -> None:
        """Track the rows that the lake holds before `end` and no profile has; none in a new place. Where they are many,
        most of them are written at once."""
        since = self._checkpoint()
        if since is None:
            return
        self.next_offset = int(since.data)
        rows = self.lake.in_log_order(
            INFERENCE, self.partition, first=self.next_offset, end=end, topic_id=self.topic_id
        )
        for table in rows:
            for low in range(0, table.num_rows, 1_000):
                self.track(_described(table.slice(low, 1_000), self.describe))
                if self._rows() > MOST_ROWS // 2:
                    self.flush()

    def track(self, rows: Described) -> None:
        """Take events; they are in the store after the next `flush`. Those taken before are left out."""
        with self.lock:
            places: dict[ProfileWindow, list[int]] = {}
            for i, (alias, version, time_ms) in enumerate(zip(rows.aliases, rows.versions, rows.times_ms, strict=True)):
                if rows.offsets[i] >= self.next_offset and not self.overflown:
                    places.setdefault(ProfileWindow(alias, version, window_start(time_ms, self.window_ms)), []).append(
                        i
                    )
            for window, new in places.items():
                offsets = np.array([rows.offsets[i] for i in new], dtype=np.int64)
                self.pending.setdefault(window, []).append((offsets, rows.values[new]))
            self.next_offset = max([self.next_offset, *(offset + 1 for offset in rows.offsets[-1:])])
            self._bound()

    def flush(self) -> None:
        """Write the tracked rows, but for those that another worker wrote. Raises what the store raises; the rows that
        are not written then stay tracked."""
        with self.writing:
            with self.lock:
                if self.overflown:
                    return
                taken, end, self.pending = self.pending, self.next_offset, {}
            if errors := self._written(taken, end):
                raise errors[0]
            self._note(end)

    def _written(self, taken: dict[ProfileWindow, list[Part]], end: int) -> list[BaseException]:
        """Writes several windows at once. Those that fail are tracked again; returns why."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            futures = {window: pool.submit(self._write, window, parts, end) for window, parts in taken.items()}
        failed = {window: error for window, future in futures.items() if (error := future.exception())}
        with self.lock:
            for window in failed:
                self.pending[window] = taken[window] + self.pending.get(window, [])
            self._bound()
        return list(failed.values())

    def _write(self, window: ProfileWindow, parts: Sequence[Part], end: int) -> None:
        from streams.lake import whylogs_format as whylogs

        place = f"{PROFILES}/{window.place}"
        known, newest = self._newest(place)
        values = np.concatenate([values[offsets >= known] for offsets, values in parts])
        if not len(values) or known >= end:
            return
        view = whylogs.profile(self.describe.names, values)
        before = self._before(window, known, newest) if newest else None
        whole = whylogs.merged([before, view]) if before else view
        self.store.put_if_absent(
            f"{place}/partition={self._name}.{end:020d}.bin", whylogs.to_bytes(whole), forced=False
        )
        self._sweep(place)

    def _before(self, window: ProfileWindow, end: int, key: str) -> DatasetProfileView | None:
        """What the window's object has, which is made again from the lake where a power cut left no profile in it."""
        from streams.lake import whylogs_format as whylogs

        data = self.store.get(key).data
        try:
            return whylogs.read(data)
        except Exception as error:  # whylogs has several
            log.warning("a profile is damaged, it is made again", key=key, bytes=len(data), error=str(error))
        until_ms = window.start_ms + self.window_ms
        asked = {"alias": window.alias, "since_ms": window.start_ms, "until_ms": until_ms, "topic_id": self.topic_id}
        rows = self.lake.in_log_order(INFERENCE, self.partition, end=end, **asked)  # type: ignore[arg-type]
        mine = [table.filter(pc.equal(table["version"], window.version)) for table in rows]
        views = [whylogs.profile(self.describe.names, self.describe(replies(some))) for some in mine if some.num_rows]
        return whylogs.merged(views) if views else None

    def _sweep(self, place: str) -> None:
        """Deletes all but the newest, so that a reader of the whole folder counts every event once. It looks after it
        wrote, and once: of two workers that write at once the later one sees both, and none deletes what it did not
        compare."""
        for key in sorted(self._objects(place))[:-1]:
            self.store.delete(key)

    def _newest(self, place: str) -> tuple[int, str]:
        newest = max(self._objects(place), default="")
        return (int(newest.split(".")[-2]), newest) if newest else (0, "")

    def _objects(self, place: str) -> list[str]:
        return [key for key in self.store.list(place) if _partition(key) == self._name]

    def _rows(self) -> int:
        return sum(len(offsets) for parts in self.pending.values() for offsets, _ in parts)

    def _bound(self) -> None:
        """A store that takes no profiles must not fill the memory."""
        if self._rows() > MOST_ROWS:
            log.warning("profiles are too far behind, their rows come from the lake", partition=self.partition)
            self.overflown = True
            self.pending.clear()

    @property
    def _name(self) -> str:
        return f"{self.partition}-{self.incarnation}" if self.incarnation else str(self.partition)

    @property
    def _checkpoint_key(self) -> str:
        return f"{NEXT}/partition={self._name}"

    def _checkpoint(self) -> Stored | None:
        """The offset up to which everything is written; None for a new place."""
        try:
            found = self.store.get(self._checkpoint_key)
        except FileNotFoundError:
            return None
        return found if found.data.isdigit() else None

    def _note(self, end: int) -> None:
        """Another worker's note that comes between holds as well: it wrote what is before it."""
        found = self._checkpoint()
        content = str(end).encode()
        if found is None:
            replace(self.store, self._checkpoint_key, content)
        elif found.data != content:
            self.store.put_if_match(self._checkpoint_key, content, found.etag, forced=False)


def _described(table: pa.Table, describe: Describer) -> Described:
    aliases, versions, times_ms, offsets = (
        table.column(name).to_pylist() for name in ("alias", "version", "time_ms", "offset")
    )
    return Described(aliases, versions, times_ms, offsets, describe(replies(table)))


def _partition(key: str) -> str:
    return key.rpartition("partition=")[2].partition(".")[0]
