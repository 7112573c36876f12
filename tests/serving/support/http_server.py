"""The clients' HTTP server with an application that does what its paths name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError, unavailable
from serving.gateway.http.asgi import AsgiApplication
from serving.gateway.http.limits import Limits
from serving.gateway.http.listener import Listener
from serving.gateway.http.protocol import GuardedProtocol
from serving.gateway.http.request import Request
from serving.gateway.http.transport import ClientTransport
from tests.serving.support.wire import Answer, Wire, asking

LIMITS = Limits(head_bytes=2_000, body_bytes=10_000, head_s=5.0, body_s=5.0, write_s=5.0, idle_s=5.0, connections=50)
SOON_S = 0.1  # a limit that a test waits for
TAIL = asking("/after")  # must never be taken for a request of its own


class Application:
    """Answers what its paths say: /echo, /held (until `go`), /stream (until the client reads no more), /brim."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.gone = 0
        self.admitted = 0  # and not over
        self.go = asyncio.Event()
        self.defect: Exception | None = None

    def admit(self, request: Request) -> Callable[[], None]:
        if self.defect is not None:
            raise self.defect
        if request.headers.get("authorization") != "Bearer yes":
            raise ApiError(401, "no", code="no_key")
        request.key = Key(request.headers.get("x-key", "a"), "")
        self.admitted += 1
        return self._leave

    def _leave(self) -> None:
        self.admitted -= 1

    async def serve(self, request: Request) -> None:
        self.seen.append(request)
        try:
            await getattr(self, "_" + request.path.rpartition("/")[2], self._echo)(request)
        except asyncio.CancelledError:
            self.gone += request.gone
            if request.started and not request.done:
                request.end(b"the end")
            elif not request.done:
                request.keep_alive = False
                request.fail(unavailable("told to end", "shutting_down"))

    async def _echo(self, request: Request) -> None:
        told = {"path": request.path, "headers": request.headers, "body": request.body.decode("latin-1")}
        request.answer(200, json.dumps(told).encode())

    async def _held(self, request: Request) -> None:
        await self.go.wait()
        await self._echo(request)

    async def _two(self, request: Request) -> None:
        request.start(200, [])
        await request.chunk(b"one")
        await self.go.wait()
        request.end(b"two")

    async def _stream(self, request: Request) -> None:
        request.start(200, [])
        while True:
            await request.chunk(b"x" * 10_000)
            await asyncio.sleep(0)

    async def _large(self, request: Request) -> None:
        request.answer(200, b"x" * 8_000_000)

    async def _brim(self, request: Request) -> None:
        """Ends its answer when a little of it is left in the process: less than what pauses a writer."""
        request.start(200, [])
        while not buffered(request):
            await request.chunk(b"x" * 4_096)
        request.end()


def buffered(request: Request) -> int:
    """Bytes of the answer that are still in the process."""
    cycle: RequestResponseCycle = request._send.__self__  # type: ignore[attr-defined]
    return cast(ClientTransport, cycle.transport).buffered()


class Place:
    def __init__(self, application: Application, server: Listener) -> None:
        self.application, self.server, self.port = application, server, server.port

    @property
    def connections(self) -> list[GuardedProtocol]:
        return self.server._connections()

    @property
    def held(self) -> int:
        """Bytes of bodies."""
        return int(cast(AsgiApplication, self.server.config.app)._budget._all)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.application.seen]


@asynccontextmanager
async def serving(*origins: str, **limits: Any) -> AsyncIterator[Place]:
    application = Application()
    server = Listener(application, replace(LIMITS, **limits), origins)
    await server.start("127.0.0.1", 0)
    try:
        yield Place(application, server)
    finally:
        application.go.set()
        await server.drain(0.0)


async def said(port: int, data: bytes) -> tuple[Answer, Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = Wire(reader, writer)
    wire.send(data)
    return await wire.answer(), wire


HEAD = b"POST /echo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer yes\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
