"""What a judge model answered, and what it cost today: one SQLite file, which the processes of a machine share.

It holds digests and scores, and no text. A row that is scored again, by another process or after a kill, is asked
once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from streams.files import FOLDER

KEPT_DAYS = 30
WAIT_S = 10.0  # for another process's write
TABLES = """
CREATE TABLE IF NOT EXISTS scores (row BLOB PRIMARY KEY, score REAL NOT NULL, day INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_day ON scores (day);
CREATE TABLE IF NOT EXISTS spent (
    judge TEXT, day INTEGER, calls INTEGER NOT NULL, tokens INTEGER NOT NULL, PRIMARY KEY (judge, day)
) WITHOUT ROWID;
"""
TAKE = """
INSERT INTO spent VALUES (:judge, :day, 1, 0)
ON CONFLICT DO UPDATE SET calls = calls + 1 WHERE calls < :calls AND tokens < :tokens
"""
PAY = "INSERT INTO spent VALUES (?, ?, 0, ?) ON CONFLICT DO UPDATE SET tokens = tokens + excluded.tokens"


class JudgeMemory:
    """The file. Each call opens it: calls come from several threads, and cost far less than an answer."""

    def __init__(self, path: Path) -> None:
        self._path, self._made = path, False

    def known(self, rows: Sequence[bytes]) -> dict[bytes, float]:
        """Return the scores that are known, by their rows' digests."""
        with self._open() as file:
            found = (file.execute("SELECT row, score FROM scores WHERE row = ?", (row,)).fetchone() for row in rows)
            return {bytes(each[0]): float(each[1]) for each in found if each}

    def keep(self, row: bytes, score: float, day: int) -> None:
        """Keep a score; those of KEPT_DAYS ago go."""
        with self._open() as file, file:
            file.execute("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", (row, score, day))
            file.execute("DELETE FROM scores WHERE day < ?", (day - KEPT_DAYS,))
            file.execute("DELETE FROM spent WHERE day < ?", (day - KEPT_DAYS,))

    def take(self, judge: str, day: int, *, calls: int, tokens: int) -> bool:
        """Count a call to the judge; return False, and count none, where the day's calls or tokens are spent."""
        if not calls or not tokens:
            return False
        asked = {"judge": judge, "day": day, "calls": calls, "tokens": tokens}
        with self._open() as file, file:
            return file.execute(TAKE, asked).rowcount == 1

    def pay(self, judge: str, day: int, tokens: int) -> None:
        """Count the tokens of a call's prompt and answer."""
        with self._open() as file, file:
            file.execute(PAY, (judge, day, tokens))

    def spent(self, judge: str, day: int) -> tuple[int, int]:
        """Return the day's calls and tokens."""
        with self._open() as file:
            found = file.execute("SELECT calls, tokens FROM spent WHERE judge = ? AND day = ?", (judge, day)).fetchone()
            return found or (0, 0)

    def _open(self) -> closing[sqlite3.Connection]:
        if not self._made:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER)
        file = sqlite3.connect(self._path, timeout=WAIT_S)
        if not self._made:
            file.execute("PRAGMA journal_mode = WAL")
            file.executescript(TABLES)
            self._made = True
        file.execute("PRAGMA synchronous = NORMAL")
        return closing(file)
