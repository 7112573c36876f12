"""Clients that cost little themselves: raw HTTP/1.1 over kept-alive connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

ENDS = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `first_ms` is the time to its first body byte."""

    status: int
    head: bytes
    body: bytes
    ms: float
    first_ms: float

    @property
    def good(self) -> bool:
        """A 200; of a stream, one that came to its end."""
        return self.status == 200 and (b"text/event-stream" not in self.head or b"data: [DONE]" in self.body)

    def header(self, name: str) -> str:
        """Its value, "" where there is none."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return ""


@dataclass(slots=True)
class Sample:
    """Answers of one run, and how long it took."""

    ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    first_at_s: list[float] = field(default_factory=list)  # on the clock of `time.perf_counter`, as is the next
    ended_at_s: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0

    def quantile(self, q: float) -> float:
        return float(np.quantile(self.ms, q))

    def first(self, q: float) -> float:
        return float(np.quantile(self.first_ms, q))


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None
        self._begin = self._first = 0.0
        self._head = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("closed by the server"))

    @property
    def begun(self) -> bool:
        """Whether some of the answer has come."""
        return bool(self._buffer)

    def ask(self, data: bytes) -> asyncio.Future[Answer]:
        """Where the server has closed already, the answer is a ConnectionResetError too."""
        self._buffer.clear()
        self._head, self._first = -1, 0.0
        self._waiting = asyncio.get_running_loop().create_future()
        self._begin = time.perf_counter()
        if self.transport.is_closing():
            self._waiting.set_exception(ConnectionResetError("closed by the server before the request"))
        else:
            self.transport.write(data)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._head < 0:
            self._head = self._buffer.find(b"\r\n\r\n")
        if self._head < 0 or len(self._buffer) == self._head + 4 or self._waiting is None:
            self._first = 0.0
        elif not self._first:
            self._first = time.perf_counter()
        if self._head >= 0 and self._whole() and self._waiting is not None and not self._waiting.done():
            now = time.perf_counter()
            head, body = bytes(self._buffer[: self._head]), bytes(self._buffer[self._head + 4 :])
            first_ms = ((self._first or now) - self._begin) * 1_000
            answer = Answer(int(head[9:12]), head, body, (now - self._begin) * 1_000, first_ms)
            self._waiting.set_result(answer)

    def _whole(self) -> bool:
        head = bytes(self._buffer[: self._head]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            return len(self._buffer) >= self._head + 4 + length
        return b"chunked" not in head or self._buffer.endswith(ENDS)


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def request(path: str, body: object, key: str = "", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """The bytes of a POST; `body` may be bytes that are no JSON."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    named = [("host", "bench"), ("content-type", "application/json"), ("content-length", str(len(data))), *headers]
    named += [("authorization", f"Bearer {key}")] if key else []
    lines = "".join(f"{name}: {value}\r\n" for name, value in named)
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace") + data


async def run(port: int, data: bytes, count: int, clients: int = 1) -> Sample:
    """`count` requests by so many clients, each sending its next when the last is answered."""
    sample, left = Sample(), iter(range(count))
    began = time.perf_counter()

    async def client() -> None:
        connection = await connect(port)
        for _ in left:
            try:
                answer = await connection.ask(data)
            except ConnectionError:
                sample.failed += 1
                connection = await connect(port)
                continue
            sample.failed += not answer.good
            sample.ms.append(answer.ms)
            sample.first_ms.append(answer.first_ms)
            sample.ended_at_s.append(time.perf_counter())
            sample.first_at_s.append(sample.ended_at_s[-1] - (answer.ms - answer.first_ms) / 1_000)
        connection.transport.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    sample.seconds = time.perf_counter() - began
    return sample
