"""A user's name and password from files, read again once a file changes: each new connection has the present ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

import structlog

from streams.files import Stamp, stamp, utf8

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the broker is shown, and the password, which is not printed."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"Account({self.username!r})"


class AccountFiles:
    """The account in two files. Once it was read, files that are broken change nothing, and are logged."""

    def __init__(self, username: Path, password: Path) -> None:
        self._paths = {"username_file": username, "password_file": password}
        self._known: Account | None = None
        self._stamps: list[Stamp | None] = []
        self._lock = Lock()

    def read(self) -> Account:
        """Return the present account. Raise ValueError where it was never read and cannot be."""
        with self._lock:
            if self._known is not None and self._stamps == (found := self._look()):
                return self._known
            found = self._look()
            try:
                self._known = Account(*(_line(name, path) for name, path in self._paths.items()))
            except ValueError as error:
                if self._known is None:
                    raise
                log.error("the account at the brokers stays as it was", error=str(error))
            self._stamps = found
            return self._known

    def _look(self) -> list[Stamp | None]:
        return [stamp(path) for path in self._paths.values()]


@cache
def account_files(username: Path, password: Path) -> AccountFiles:
    """Return the account of two files: one for all clients of a process."""
    return AccountFiles(username, password)


def _line(name: str, path: Path) -> str:
    """The one line that a file holds."""
    key = f"kafka.security.{name} = {str(path)!r}"
    try:
        text = utf8(path.read_bytes()).strip("\r\n")
    except OSError as error:
        raise ValueError(f"{key}: cannot be read ({error.strerror}), expected a file with one line") from error
    except UnicodeError as error:
        raise ValueError(f"{key}: {error}") from error
    if not text or "\n" in text:
        raise ValueError(f"{key}: has {'more lines than one' if text else 'nothing in it'}, expected one line")
    return text
