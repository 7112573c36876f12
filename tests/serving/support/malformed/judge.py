"""Sends what no client should send, and says what was wrong with how it was taken."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.serving.support.malformed.case import Case, Ending

STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
LENGTH = re.compile(rb"content-length: (\d+)\r\n")
LEAKS = re.compile(
    rb"Traceback|File \"|/site-packages/|\b(?!NotFound|BadRequest)[A-Z][a-z]+[A-Za-z]*(?:Error|Exception)\b"
)
AT_ONCE = 64
MOST_READ = 4_194_304
DRIP_S = 1.0
QUIET_S = 0.05  # after an answer, for those to what came behind it on the same connection


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one case was taken; `fault` is empty where nothing was wrong."""

    case: Case
    statuses: tuple[int, ...]
    seconds: float
    fault: str = ""


@dataclass(slots=True)
class Judge:
    """`patience_s`: within which everybody is answered or the connection closed. `secrets`: what no answer may hold.
    `defects`: statuses that nobody may get; 502 is one where the engine itself answers whatever it is asked."""

    port: int
    patience_s: float
    secrets: Sequence[bytes] = ()
    defects: Sequence[int] = (500,)
    host: str = "127.0.0.1"
    statuses: Counter[int] = field(default_factory=Counter)

    async def all(self, cases: Iterable[Case], at_once: int = AT_ONCE) -> list[Verdict]:
        """Those with a fault, and the count of all statuses in `statuses`."""
        turn, faults = iter(cases), list[Verdict]()

        async def client() -> None:
            for case in turn:
                verdict = await self.one(case)
                self.statuses.update(verdict.statuses or (0,))
                if verdict.fault:
                    faults.append(verdict)

        await asyncio.gather(*(client() for _ in range(at_once)))
        return faults

    async def one(self, case: Case) -> Verdict:
        """One connection for each."""
        began_s = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port, limit=MOST_READ)
        except OSError as error:
            return Verdict(case, (), 0.0, f"no connection: {error}")
        said = bytearray()
        sending = asyncio.create_task(_send(writer, case))  # who has its answer need not have sent everything
        try:
            async with asyncio.timeout(self.patience_s):
                await _read(reader, said)
            hangs = False
        except TimeoutError:
            hangs = True
        finally:
            sending.cancel()
            writer.transport.abort()
        return self._judged(case, bytes(said), time.monotonic() - began_s, hangs)

    def _judged(self, case: Case, said: bytes, seconds: float, hangs: bool) -> Verdict:
        statuses = tuple(int(found) for found in STATUS.findall(said))
        fault = f"neither answer nor end within {self.patience_s:g} s" if hangs else ""
        if defect := next((status for status in statuses if status in self.defects), None):
            fault = f"status {defect}: {said[-300:]!r}"
        elif leak := LEAKS.search(said):
            fault = f"tells {leak.group()!r}: {said[-300:]!r}"
        elif secret := next((each for each in self.secrets if each in said), None):
            fault = f"tells {secret!r}: {said[-300:]!r}"
        return Verdict(case, statuses, seconds, fault)


async def _send(writer: asyncio.StreamWriter, case: Case) -> None:
    with contextlib.suppress(OSError):  # it hung up on us
        if case.ending is Ending.DRIP:
            writer.write(case.data[: case.sent])
            for i in range(case.sent, len(case.data)):
                await asyncio.sleep(DRIP_S)
                writer.write(case.data[i : i + 1])
                await writer.drain()
            return
        writer.write(case.data)
        await writer.drain()
        if case.ending is Ending.HALF_CLOSE and writer.can_write_eof():
            writer.write_eof()


async def _read(reader: asyncio.StreamReader, said: bytearray) -> None:
    """Until the server closes, or one whole answer is there and no more comes."""
    with contextlib.suppress(OSError):  # it hung up on us
        while data := await _more(reader, QUIET_S if _whole(said) else None):
            said += data


async def _more(reader: asyncio.StreamReader, seconds: float | None) -> bytes:
    try:
        return await asyncio.wait_for(reader.read(65_536), seconds)
    except TimeoutError:
        return b""


def _whole(said: bytearray) -> bool:
    head, found, body = bytes(said).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, found, body = body.partition(b"\r\n\r\n")
    if not found:
        return False
    length = LENGTH.search(head + b"\r\n")
    return len(body) >= int(length.group(1)) if length else body.endswith(b"0\r\n\r\n")
