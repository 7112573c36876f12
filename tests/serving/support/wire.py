"""A client that sends exactly the bytes that the test gives it, and takes answers apart itself."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE_S = 5.0  # for what must come


@dataclass(frozen=True, slots=True)
class Answer:
    """One response. `headers` in lower case; `body` without its framing."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))

    @property
    def code(self) -> str:
        """Of an error."""
        return str(self.json["error"]["code"])


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, method: str = "POST") -> Answer:
        """The next response. Raises IncompleteReadError where the connection ends before it is whole."""
        async with asyncio.timeout(PATIENCE_S):
            status, headers = await self.head()
            if method == "HEAD" or status in (204, 304) or status < 200:
                return Answer(status, headers, b"")
            if headers.get("transfer-encoding") == "chunked":
                return Answer(status, headers, b"".join([chunk async for chunk in self.chunks()]))
            if "content-length" in headers:
                return Answer(status, headers, await self.reader.readexactly(int(headers["content-length"])))
            return Answer(status, headers, await self.reader.read())

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        version, status = first.split(" ")[:2]
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), "a header twice"
        return int(status), headers

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        assert await self.reader.readexactly(2) == b"\r\n"

    async def rest(self) -> bytes:
        """Everything until the connection ends, in whatever way."""
        data = b""
        async with asyncio.timeout(PATIENCE_S):
            try:
                while piece := await self.reader.read(65_536):
                    data += piece
            except ConnectionError:
                pass
        return data

    async def over(self) -> bool:
        """Whether the connection ends without another byte."""
        return await self.rest() == b""

    def hang_up(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def wired(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        wire.hang_up()


def asking(
    path: str = "/echo",
    body: bytes = b"{}",
    *headers: str,
    method: str = "POST",
    key: str | None = "yes",
    http: str = "1.1",
) -> bytes:
    """A request with its length; without a key where that is None."""
    head = [f"{method} {path} HTTP/{http}", "host: test", f"content-length: {len(body)}", *headers]
    head += [f"authorization: Bearer {key}"] if key is not None else []
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body
