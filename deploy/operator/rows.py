"""Labelled rows in files: one `{"text", "label"}` a line, every problem named with file, line and field."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

SHOWN = 10  # problems of one file that the message names
LONGEST_VALUE = 60
FIELDS = ("text", "label")
FORM = '{"text": "...", "label": "..."}'


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A message and its label, as given."""

    text: str
    label: str


class DataError(ValueError):
    """The data cannot be used; the message lists the problems, with file, line and field."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.problems = problems
        shown = [f"  - {problem}" for problem in problems[:SHOWN]]
        more = [f"  ... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        super().__init__("\n".join([f"{path}: {len(problems)} problem(s)", *shown, *more]))


def read_file(path: Path, least: int = 1) -> list[LabelledRow]:
    """Return all rows of a file. Ignore blank lines and further fields; raise DataError with all problems at once."""
    rows: list[LabelledRow] = []
    problems: list[str] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        found = parse(line)
        if isinstance(found, LabelledRow):
            rows.append(found)
        else:
            problems += [f"line {number}: {problem}" for problem in found]
    if len(rows) < least and not problems:
        problems = [f"{len(rows)} rows, expected at least {least}: add rows of the form {FORM}"]
    if problems:
        raise DataError(path, problems)
    return rows


def parse(line: bytes) -> LabelledRow | list[str]:
    """Return the row on a line, or what is wrong with it.

    >>> parse(b'{"text": "hello", "label": 3}')
    ['field "label" is 3, expected a text that is not empty']
    """
    try:
        line.decode()
        value = msgspec.json.decode(line)
    except UnicodeDecodeError as error:
        return [f"byte {error.start + 1} ({line[error.start]:#04x}) is not UTF-8; save the file as UTF-8"]
    except msgspec.DecodeError as error:
        return [f"not JSON ({error}): {_short(line.decode())}; expected one object a line, {FORM}"]
    if not isinstance(value, dict):
        return [f"{_short(value)} is not an object; expected {FORM}"]
    problems = [problem for field in FIELDS for problem in _problems(field, value)]
    return problems or LabelledRow(value["text"], value["label"])


def _problems(field: str, value: dict[str, Any]) -> list[str]:
    if field not in value:
        return [f'field "{field}" is missing; found {", ".join(map(repr, value)) or "no fields"}']
    if not isinstance(value[field], str) or not value[field].strip():
        return [f'field "{field}" is {_short(value[field])}, expected a text that is not empty']
    return []


def _lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError as error:
        raise DataError(path, ["does not exist; expected JSON lines, one row a line"]) from error
    except OSError as error:
        raise DataError(path, [f"cannot be read: {error.strerror}"]) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
