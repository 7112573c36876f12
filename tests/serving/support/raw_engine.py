"""An engine that says exactly what a test tells it to, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Visit:
    """One connection to the engine. `number`: how many were there before it."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number, self.reader, self.writer = number, reader, writer
        self.requests: list[bytes] = []  # bodies
        self.heads: list[bytes] = []
        self.left = asyncio.Event()  # the other side is gone

    async def request(self) -> bytes:
        """The next one's body. Raises IncompleteReadError where there is none any more, which ends the script."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        self.heads.append(head)
        self.requests.append(await self.reader.readexactly(length))
        return self.requests[-1]

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def say_slowly(self, data: bytes, size: int = 1) -> None:
        """In pieces."""
        for i in range(0, len(data), size):
            self.writer.write(data[i : i + size])
            await asyncio.sleep(0)

    async def gone(self) -> None:
        """Returns once the other side has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.left.set()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        self.writer.transport.abort()


Script = Callable[[Visit], Awaitable[None]]


class RawEngine:
    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self.script, self.tls = script, tls
        self.visits: list[Visit] = []
        self.url = ""

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(len(self.visits), reader, writer)
        self.visits.append(visit)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.script(visit)
        await visit.gone()
        writer.transport.abort()

    @property
    def requests(self) -> list[bytes]:
        return [body for visit in self.visits for body in visit.requests]


@asynccontextmanager
async def saying(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawEngine]:
    """Listens while entered."""
    engine = RawEngine(script, tls)
    server = await asyncio.start_server(engine._visited, "127.0.0.1", 0, ssl=tls)
    engine.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for visit in engine.visits:
            visit.reset()


def always(answer: bytes) -> Script:
    """The same to every request."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            visit.say(answer)

    return script


def whole(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def chunked(*pieces: bytes, headers: tuple[str, ...] = (), end: bytes = b"0\r\n\r\n") -> bytes:
    """An answer in pieces."""
    lines = ["HTTP/1.1 200 OK", "transfer-encoding: chunked", *headers, "", ""]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join(lines).encode() + framed + end
