"""What wrote a file, found out by its content, and its rows: lm-evaluation-harness, Inspect, MLflow, plain JSON lines.

Each row keeps its place for messages, and its fields under the names that the harness gives them; `names` are those
that may be scores."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from retrain.harness import inspect_log
from retrain.harness.evaluation_file import EvaluationFile, Fields, FileRow, shaped
from streams.files import utf8

LM_EVAL, TABLE, LINES = "lm-eval samples", "evaluation table", "JSON lines"
OWN_SCORES = ("score", "loss")
OF_SAMPLES = frozenset(
    [
        "doc_id",
        "doc",
        "target",
        "arguments",
        "resps",
        "filtered_resps",
        "filter",
        "metrics",
        "doc_hash",
        "prompt_hash",
        "target_hash",
    ]
)
NAMED_SCORES = ("/score", "/value")  # ends of the columns in which MLflow has them


class _HarnessRow(msgspec.Struct, frozen=True):
    """What a row of lm-evaluation-harness is looked at for, besides its scores."""

    filter: str = "none"
    metrics: list[str] | None = None


def read(path: Path) -> EvaluationFile:
    """Return the rows of a file. Raise ValueError that names the file and the place, OSError where it is not there."""
    data = path.read_bytes()
    if data.startswith(b"PAR1"):
        return _table(path, _parquet(path, data))
    if data.startswith(b"PK\x03\x04"):
        return inspect_log.rows(path, inspect_log.unzipped(path, data))
    try:
        text = utf8(data).strip()
    except UnicodeError as error:
        raise ValueError(f"{path}: {error}") from error
    if not text:
        raise ValueError(f"{path}: is empty, expected rows")
    if text[0] not in "{[":
        return _table(path, _csv(path, text))
    whole = _whole(text)
    if isinstance(whole, list):
        return _table(path, _objects(path, whole))
    if isinstance(whole, dict) and "samples" in whole and "eval" in whole:
        return inspect_log.rows(path, whole)
    if isinstance(whole, dict) and isinstance(whole.get("columns"), list) and isinstance(whole.get("data"), list):
        return _table(path, _split(path, whole))
    rows = [FileRow(f"{path}, line {number}", _object(path, number, line)) for number, line in _lines(text)]
    if all("doc_id" in row.fields for row in rows):
        return _samples(path, rows)
    return EvaluationFile(path, LINES, rows, [name for name in OWN_SCORES if any(name in row.fields for row in rows)])


def _whole(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return None  # several lines


def _lines(text: str) -> Iterator[tuple[int, str]]:
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _object(path: Path, number: int, line: str) -> Fields:
    try:
        found = msgspec.json.decode(line)
    except UNREADABLE as error:
        raise ValueError(f"{path}, line {number}: {error}, expected a JSON object") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path}, line {number}: is {line[:40]!r}, expected a JSON object")
    return found


def _samples(path: Path, rows: list[FileRow]) -> EvaluationFile:
    """Return a row a question: the harness writes one for each filter of its answer."""
    shapes = [shaped(row.place, row.fields, _HarnessRow) for row in rows]
    filters = {shape.filter for shape in shapes}
    found: dict[str, FileRow] = {}
    names: dict[str, None] = {}
    for row, shape in zip(rows, shapes, strict=True):
        metrics = [name for name in row.fields if name not in OF_SAMPLES] if shape.metrics is None else shape.metrics
        scores = {(name if len(filters) == 1 else f"{name},{shape.filter}"): row.fields.get(name) for name in metrics}
        doc = str(row.fields["doc_id"])
        own = {"id": row.fields["doc_id"], "doc": row.fields.get("doc")}
        known = found.setdefault(doc, FileRow(row.place, own, str(row.fields.get("doc_hash") or "")))
        if twice := known.fields.keys() & scores.keys():
            raise ValueError(f"{row.place}: doc_id {doc} is there twice with {sorted(twice)[0]}, see {known.place}")
        known.fields.update(scores)
        names |= dict.fromkeys(scores)
    return EvaluationFile(path, LM_EVAL, list(found.values()), list(names))


def _table(path: Path, rows: list[FileRow]) -> EvaluationFile:
    columns = dict.fromkeys(name for row in rows for name in row.fields)
    likely = [name for name in columns if name in OWN_SCORES or name.endswith(NAMED_SCORES)]
    texts = {name for name in likely if all(_is_text(row.fields.get(name)) for row in rows)}  # such as MLflow's truths
    return EvaluationFile(path, TABLE, rows, [name for name in likely if name not in texts] or likely)


def _is_text(value: object) -> bool:
    """Return whether a value of a table says something that is no number."""
    if not isinstance(value, str) or value.lower() in ("true", "false", ""):
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _csv(path: Path, text: str) -> list[FileRow]:
    lines = csv.DictReader(io.StringIO(text), strict=True)
    found = []
    try:
        for fields in lines:
            if None in fields or None in fields.values():
                raise ValueError(f"{path}, line {lines.line_num}: expected {len(lines.fieldnames or ())} fields")
            found.append(FileRow(f"{path}, line {lines.line_num}", dict(fields)))
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: {error}") from error
    return found


def _split(path: Path, table: Mapping[str, Any]) -> list[FileRow]:
    columns = [str(name) for name in table["columns"]]
    for number, values in enumerate(table["data"], 1):
        if not isinstance(values, list) or len(values) != len(columns):
            raise ValueError(f"{path}, row {number}: expected {len(columns)} values, one a column")
    return [
        FileRow(f"{path}, row {number}", dict(zip(columns, values, strict=True)))
        for number, values in enumerate(table["data"], 1)
    ]


def _objects(path: Path, values: list[object]) -> list[FileRow]:
    found = []
    for number, each in enumerate(values, 1):
        if not isinstance(each, dict):
            raise ValueError(f"{path}, row {number}: expected a JSON object")
        found.append(FileRow(f"{path}, row {number}", each))
    return found


def _parquet(path: Path, data: bytes) -> list[FileRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _objects(path, pq.read_table(pa.BufferReader(data)).to_pylist())
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {error}, expected a Parquet file") from error
