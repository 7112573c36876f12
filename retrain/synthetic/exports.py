"""Rows that other tools made, from their files: CSV, Parquet or JSON lines, as Gretel, MOSTLY AI and NeMo Data Designer
export them, by a mapping of their columns. A file is read row by row, however large one is."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from monitor.canonical import UNREADABLE
from retrain.data.admission import LONGEST, TOO_LONG
from retrain.data.example import MADE_FROM, SYNTHETIC, Example
from streams.codec import deterministic_id
from streams.messages import Message

GUESSED = {  # columns that are taken where none is named
    "request": ("request", "prompt", "question", "instruction", "input", "text", "messages"),
    "answer": ("answer", "completion", "response", "output", "label"),
}
TAG = "tag."  # before a tag's name in a mapping
LARGEST = 2**31 - 1  # of a CSV's field: what is too long is left out afterwards
AT_ONCE = 64  # rows of a Parquet file that are read at a time
CHAT = "messages"  # a chat's column: without one for the answer, its last message is the answer
NO_OBJECT, EMPTY, NO_CHAT = "no JSON object", "no text or no answer", "messages that are no chat of texts"
Fields = Mapping[str, Any]


@dataclass(slots=True)
class ExportedRows:
    """A file's rows, how many were left out by reason, and the columns that nothing was taken from."""

    rows: list[Example] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    unused: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which column has the request, which the answer (empty: the chat's last message is it), and which have tags."""

    request: str
    answer: str
    tags: Mapping[str, str]  # by a tag's name

    @classmethod
    def of(cls, path: Path, columns: Sequence[str], named: Mapping[str, str]) -> ColumnMapping:
        """Return the mapping that is `named`, else by the columns' own names. Raise ValueError for a column that the
        file lacks, and for one that is to be neither."""
        there = ", ".join(columns)
        for use, column in named.items():
            if use not in GUESSED and not use.startswith(TAG):
                raise ValueError(f"--column {use}={column}: expected request, answer or {TAG}NAME before the =")
            if column not in columns:
                raise ValueError(f"{path}: no column {column!r} for {use}, expected one of {there}")
        found = {
            use: named.get(use) or next((name for name in names if name in columns), "")
            for use, names in GUESSED.items()
        }
        for use, column in found.items():
            if not column and not (use == "answer" and found["request"] == CHAT):
                raise ValueError(f"{path}: which column is the {use}? Name it: --column {use}=COLUMN, of {there}")
        tags = {use.removeprefix(TAG): column for use, column in named.items() if use.startswith(TAG)}
        return cls(found["request"], found["answer"], tags)

    @property
    def columns(self) -> set[str]:
        """The columns that something is taken from."""
        return {self.request, self.answer, *self.tags.values()}


def read(path: Path, origin: str, named: Mapping[str, str], tags: Mapping[str, str], tenant: str = "") -> ExportedRows:
    """Return a file's rows. `named`: columns by their use; `tags`: what every row has besides; `origin`: what made
    them. Raise ValueError that names file and place, OSError where it cannot be read."""
    done, mapping, unused = ExportedRows(), None, dict[str, None]()
    for fields in _fields(path):
        if fields is None:
            done.refused[NO_OBJECT] += 1
            continue
        mapping = mapping or ColumnMapping.of(path, list(fields), named)
        unused |= dict.fromkeys(str(name) for name in fields if name not in mapping.columns)
        row = _row(fields, mapping, origin, tags, tenant)
        if isinstance(row, str):
            done.refused[row] += 1
        else:
            done.rows.append(row)
    if not done.rows:
        why = "; ".join(f"{count} with {reason}" for reason, count in done.refused.items())
        raise ValueError(f"{path}: no row can be used, expected some{f' ({why})' if why else ': it is empty'}")
    done.unused = list(unused)
    return done


def _row(fields: Fields, mapping: ColumnMapping, origin: str, tags: Mapping[str, str], tenant: str) -> Example | str:
    """Return the row, or why there is none."""
    messages, answer = _messages(fields.get(mapping.request)), _text(fields.get(mapping.answer))
    if messages is None:
        return NO_CHAT
    if not mapping.answer and messages and messages[-1].role == "assistant":
        messages, answer = messages[:-1], messages[-1].content
    if sum(len(each.content) for each in messages) + len(answer) > LONGEST:
        return TOO_LONG
    if not answer.strip() or not any(each.content.strip() for each in messages):
        return EMPTY
    own = {name: _text(fields.get(column)) for name, column in mapping.tags.items()}
    return Example(
        id=MADE_FROM + deterministic_id("synthetic", origin, msgspec.json.encode(messages).decode(), answer),
        messages=messages,
        completion=answer.strip(),
        source=SYNTHETIC,
        by=f"{SYNTHETIC}/{origin}",
        tags={**tags, **{name: value for name, value in own.items() if value}},
        tenant=tenant,
    )


def _messages(request: object) -> list[Message] | None:
    """Return a request's messages: a chat's, as a list or as JSON text, else one of a user; None for a list that is no
    chat of texts."""
    given = request
    if isinstance(request, str) and request.lstrip().startswith("[{") and len(request) <= LONGEST:
        try:
            given = msgspec.json.decode(request)
        except UNREADABLE:
            given = request
    try:
        if isinstance(given, list):
            return msgspec.convert([_whole(each) for each in given], list[Message])
        return [Message("user", _text(given))]
    except msgspec.ValidationError:
        return None


def _whole(message: object) -> object:
    """Return a message whose content, where it came in parts that are all texts, is one text."""
    parts = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(parts, list):
        return message
    texts = [each.get("text") for each in parts if isinstance(each, dict)]
    whole = len(texts) == len(parts) and all(isinstance(each, str) for each in texts)
    return {**message, "content": "\n".join(map(str, texts))} if whole else message


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def framed(rows: Sequence[Example], real: Sequence[Example]) -> list[Example]:
    """Return the rows as real ones are asked and answered: what other tools know as one text gets the messages before
    the last and the parameters that most real rows have, and a class is spelled as in real rows."""
    if not real:
        return list(rows)
    frames = Counter(msgspec.json.encode([row.messages[:-1], row.request]) for row in real)
    before, request = msgspec.json.decode(frames.most_common(1)[0][0], type=tuple[list[Message], dict[str, Any]])
    spelled = {row.label: row.completion for row in real}
    return [
        replace(
            row,
            messages=row.messages if len(row.messages) > 1 else [*before, *row.messages],
            request=row.request or request,
            completion=spelled.get(row.label, row.completion),
        )
        for row in rows
    ]


def _fields(path: Path) -> Iterator[Fields | None]:
    """Yield each row's fields; None for a line that is no JSON object."""
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        yield from _parquet(path)
    elif path.suffix.lower() == ".csv":
        yield from _csv(path)
    elif head.lstrip()[:1] == b"{":
        yield from _lines(path)
    else:
        raise ValueError(f"{path}: begins with {head!r}, expected JSON lines, Parquet, or a file named .csv")


def _parquet(path: Path) -> Iterator[Fields | None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(AT_ONCE):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"{path}: {error}, expected a whole Parquet file") from error


def _csv(path: Path) -> Iterator[Fields | None]:
    csv.field_size_limit(LARGEST)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = csv.DictReader(file, strict=True)
            if twice := [name for name, count in Counter(found.fieldnames or ()).items() if count > 1]:
                raise ValueError(f"{path}: the column {twice[0]!r} is there twice, expected each once")
            for row in found:
                if None in row or None in row.values():
                    raise ValueError(f"{path}, line {found.line_num}: not as many fields as columns")
                yield row
    except (csv.Error, UnicodeError) as error:
        raise ValueError(f"{path}: {error}, expected CSV in UTF-8 with a first line of names") from error


def _lines(path: Path) -> Iterator[Fields | None]:
    with path.open("rb") as file:
        for line in file:
            if not line.strip():
                continue
            try:
                found = msgspec.json.decode(line)
            except UNREADABLE:
                found = None
            yield found if isinstance(found, dict) else None
