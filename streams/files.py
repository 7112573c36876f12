"""Files that a reader sees whole or not at all."""

from __future__ import annotations

import codecs
import os
from pathlib import Path
from uuid import uuid4


def utf8(data: bytes) -> str:
    """A text file's content, whatever mark of UTF-8 its editor put at the beginning. Raises UnicodeError for one that
    is not UTF-8."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UnicodeError("is UTF-16, expected UTF-8: save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte {error.start + 1} is not UTF-8: save it as UTF-8") from error


def put(path: Path, data: bytes) -> None:
    """Writes a file, its folder too where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")  # two workers may write one name at once
    with open(part, "wb", opener=_private) as file:
        file.write(data)
    part.replace(path)


def _private(path: str, flags: int) -> int:
    """What clients said is in them."""
    return os.open(path, flags, 0o600)
