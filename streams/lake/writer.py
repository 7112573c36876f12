"""Writes the lake: the file of a block that still grows is replaced whole, before its offsets are acknowledged."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.files import force, locked, private_folder, private_opener
from streams.lake.table import load_file, prefix, schema
from streams.topics import Topic

Signature = tuple[int, int]  # inode and time of the last change: a file replaced is another


class LakeWriter:
    """Writes one partition of one topic. Rows that another worker wrote to the open block in the meantime (it has just
    lost this partition, or it froze and lives again) are noticed and kept."""

    def __init__(self, root: Path, topic: Topic, partition: int, block_offsets: int, incarnation: int = 0) -> None:
        self._folder, self._prefix = root / topic.name / f"partition={partition}", prefix(incarnation)
        self._empty = schema(topic.value).empty_table()
        self._size = block_offsets
        self._path: Path | None = None
        self._table = self._empty
        self._written: Signature | None = None

    def add(self, table: pa.Table) -> None:
        """Write rows, and return once they are on disk. Adding rows again changes nothing."""
        offsets = table.column("offset").to_numpy()
        for block in sorted(set((offsets // self._size).tolist())):
            self._open(self._folder / f"{self._prefix}{block * self._size:020d}.parquet")
            self._write(table.filter(pa.array(offsets // self._size == block)))

    def _open(self, path: Path) -> None:
        found = _signature(path)
        if path == self._path and found == self._written:
            return
        mine = self._table if path == self._path else self._empty
        theirs = load_file(path, self._empty.schema) if found else self._empty
        self._path, self._written, self._table = path, found, _union(theirs, mine)

    def _write(self, table: pa.Table) -> None:
        assert self._path is not None
        self._table = _union(self._table, table)
        while (written := _replace(self._path, self._table, self._written)) is None:
            self._open(self._path)
        self._written = written


def _union(known: pa.Table, new: pa.Table) -> pa.Table:
    """Rows of both by offset; the new row where both have one."""
    if not known.num_rows or not new.num_rows or pc.max(known["offset"]).as_py() < pc.min(new["offset"]).as_py():
        return pa.concat_tables([known, new])
    kept = known.filter(pc.invert(pc.is_in(known["offset"], value_set=new["offset"].combine_chunks())))
    return pa.concat_tables([kept, new]).sort_by("offset")


def _replace(path: Path, table: pa.Table, known: Signature | None) -> Signature | None:
    """All of it or nothing, also after a power cut; the new file's signature. None, and nothing done, where the file
    is no longer the `known` one."""
    private_folder(path.parent)
    part = path.with_name(f".{path.name}.{uuid4().hex}")  # two machines may have a process of the same number
    with open(part, "wb", opener=private_opener) as file:
        pq.write_table(table.combine_chunks(), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    written = _signature(part)
    with locked(path.parent / ".lock"):  # a worker that froze just here must not undo another's rows
        if _signature(path) != known:
            part.unlink()
            return None
        part.replace(path)
    force(path.parent)
    return written


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
