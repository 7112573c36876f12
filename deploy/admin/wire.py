"""What comes back: a line of JSON for each piece, as it comes, and the exit status last.

{"out": "support: paused\\n"}      {"err": "..."}      {}  (still at work)
{"file": "out", "path": "backtest.html", "data": "<base64>"}       {"exit": 0}
"""

from __future__ import annotations

import re

import msgspec

ALIVE_S = 2.5  # between two lines at most: a silent server is told from a long command, a caller who hung up is noticed
CHUNK = 196_608  # bytes of a file in one line
CONTENT = "application/x-ndjson"
SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=@+-]{0,199}")  # of a path inside a folder that is sent or comes back
DEEPEST = 8


class OutputPiece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `path`: inside the folder that the parameter `file` names; empty for a file."""

    out: str = ""
    err: str = ""
    file: str = ""
    path: str = ""
    data: bytes = b""
    exit: int | None = None


def line(piece: OutputPiece) -> bytes:
    """Return the piece as a line."""
    return msgspec.json.encode(piece) + b"\n"


def inside(path: str) -> bool:
    """Return whether a path stays inside its folder: each side asks this about what the other sends.

    >>> [inside(path) for path in ("a.html", "b/c.json", "../a", "/etc/x", "a//b", "", ".", "a/.hidden")]
    [True, True, False, False, False, False, False, False]
    """
    parts = path.split("/")
    return len(parts) <= DEEPEST and all(SEGMENT.fullmatch(part) for part in parts)
