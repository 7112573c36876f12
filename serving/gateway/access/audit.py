"""The audit log: who did what, and who was refused, a line of JSON each.

    {"time": "2026-12-01T09:30:00.123+00:00", "process": "gateway", "who": "ann", "by": "token", "from": "10.0.0.7",
     "what": "POST /v1/aliases/support/pause", "alias": "support", "outcome": "done", "status": 200}

`who` is empty where no key and no token says it. A line that cannot be written is counted and stops no act: a pause is
worth more than its line."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import structlog

from serving import metrics
from serving.gateway.access.admission import Bucket
from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError
from streams.files import private_opener

log = structlog.get_logger()

STDOUT = "stdout"
REFUSED = (401, 403)
REFUSALS = 600  # a minute, and requests of nobody known; who floods fills no disk, and the next line says how many more


class AuditLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line."""

    time: str
    process: str
    who: str
    by: Literal["key", "token", "nothing"]
    source: str = msgspec.field(name="from", default="")
    what: str
    alias: str = ""
    outcome: Literal["done", "refused", "failed"]
    status: int
    code: str = ""
    reason: str = ""
    left_out: int = 0  # refusals since the line before


@dataclass(slots=True)
class AuditLog:
    """The log of one process. `target`: `stdout`, or a file's path; empty: nothing is written."""

    target: str
    process: str
    clock: Callable[[], float] = time.monotonic
    _left: Bucket = field(default_factory=lambda: Bucket(REFUSALS, 0.0))
    _left_out: int = 0

    def act(self, caller: Key | None, what: str, source: str, alias: str = "", error: ApiError | None = None) -> None:
        """Write what a caller did, or tried to do. `error`: the answer, where it is one."""
        refused = error is not None and error.status in REFUSED
        if not self.target or ((refused or caller is None) and not self._room()):
            return
        who = caller.person if caller else error.by if error else ""
        line = AuditLine(
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            process=self.process,
            who=who,
            by=("token" if caller.client else "key") if caller else "nothing",
            source=source,
            what=what,
            alias=alias,
            outcome="refused" if refused else "failed" if error else "done",
            status=error.status if error else 200,
            code=(error.code or "") if error else "",
            reason=error.message if error else "",
            left_out=self._left_out,
        )
        self._write(msgspec.json.encode(line) + b"\n")

    def refusal(self, error: ApiError, caller: Key | None, what: str, source: str, alias: str = "") -> None:
        """Write that a caller was refused, where that is what the error says."""
        if error.status in REFUSED:
            self.act(caller, what, source, alias, error)

    def _room(self) -> bool:
        self._left.fill(REFUSALS, self.clock())
        if self._left.permits < 1:
            self._left_out += 1
            return False
        self._left.permits -= 1
        return True

    def _write(self, line: bytes) -> None:
        """Append in one piece; the file is opened for each line, so that it may be moved away."""
        try:
            if self.target == STDOUT:
                sys.stdout.buffer.write(line)
                sys.stdout.buffer.flush()
            else:
                self._append(Path(self.target), line)
            self._left_out = 0
        except OSError as error:
            metrics.AUDIT_LOST.inc()
            log.error("an audit line cannot be written", target=self.target, error=repr(error))

    def _append(self, path: Path, line: bytes) -> None:
        file = private_opener(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, line)
        finally:
            os.close(file)


NO_AUDIT = AuditLog("", "")
