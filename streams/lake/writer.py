"""Writes the lake: rows gather, then one commit has those of all partitions, and how far each is.

Delta refuses a commit where the same application, here a partition of a topic, committed since the writer's table was
loaded; it does not compare the versions. So everything is written through one table that stays loaded, rows that
it has are dropped before, and after a conflict it is loaded again. A worker that froze, lost its partitions and lives
again adds nothing twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError

from streams.lake import delta
from streams.lake.lake import Lake
from streams.topics import Topic

TRIES = 10  # in a row, against others that write the same partitions
RETRIES = 30  # by the library, against others that write other partitions


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """Rows of consecutive offsets of one partition, which ends before offset `end`; the last may have no row."""

    topic_id: str
    partition: int
    end: int
    rows: pa.Table


class LakeWriter:
    """Writes one topic's table. `add` may be called while another thread is in `commit`."""

    def __init__(self, lake: Lake, topic: Topic) -> None:
        self._lake, self._topic = lake, topic
        self._table: DeltaTable | None = None
        self._held: list[PartitionRows] = []

    @property
    def waiting(self) -> int:
        """Return how many rows wait for the next commit."""
        return sum(each.rows.num_rows for each in self._held)

    def held(self) -> list[pa.Table]:
        """Return the rows that wait for the next commit: all that a table opened after this call may lack."""
        return [each.rows for each in list(self._held)]

    def add(self, stretch: PartitionRows) -> None:
        """Take rows for the next commit. Rows taken again are written once."""
        self._held.append(stretch)

    def commit(self) -> None:
        """Write the rows added so far, and return once they are in the table for good. Raises LakeRefused for a wrong
        setting; any other error leaves them waiting, and the next call tries again."""
        held = list(self._held)
        if any(each.rows.num_rows for each in held):
            self._commit(held)
        del self._held[: len(held)]

    def _commit(self, held: list[PartitionRows]) -> None:
        for tries_left in reversed(range(TRIES)):
            table = self._loaded()
            try:
                with delta.named(self._lake.url):
                    self._write(table, held)
                return
            except CommitFailedError:
                self._table = None
                if not tries_left:
                    raise
            except BaseException:  # it may be behind what is there
                self._table = None
                raise

    def _loaded(self) -> DeltaTable:
        """The table: as it was when it was loaded, and with what was written through it since."""
        if self._table is None:
            self._table = delta.created(self._lake.url, self._lake.options, self._topic)
        return self._table

    def _write(self, table: DeltaTable, held: list[PartitionRows]) -> None:
        def known(application: str) -> int:
            return table.transaction_version(application) or 0

        rows, ends = unwritten(self._topic, held, known)
        if not rows:
            return
        whole = pa.concat_tables(rows)
        write_deltalake(
            table,
            whole,
            mode="append",
            schema_mode="merge",
            writer_properties=delta.compressed(whole.num_rows, whole.nbytes),
            commit_properties=CommitProperties(
                max_commit_retries=RETRIES, app_transactions=[Transaction(name, end) for name, end in ends.items()]
            ),
        )


def unwritten(
    topic: Topic, held: Iterable[PartitionRows], known: Callable[[str], int]
) -> tuple[list[pa.Table], dict[str, int]]:
    """Return the rows that a table lacks, each once, and the offset before which it then has all, by application.
    `known`: the offset before which it has all of an application."""
    rows: list[pa.Table] = []
    ends: dict[str, int] = {}
    for each in held:
        name = application(topic, each.topic_id, each.partition)
        reached = ends.get(name, known(name))
        fresh = each.rows.filter(pc.greater_equal(each.rows["offset"], reached))
        if fresh.num_rows:
            rows.append(fresh)
            ends[name] = each.end
    return rows, ends


def application(topic: Topic, topic_id: str, partition: int) -> str:
    """Return the name under which a table knows how far a partition is.

    >>> from streams.topics import INFERENCE
    >>> application(INFERENCE, "", 3)
    'inference.events/3'
    """
    return f"{topic_id or topic.name}/{partition}"
