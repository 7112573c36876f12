"""An HTTP/1.1 server for one application, with a bound on everything a client can make it keep or wait for.

Its own, because the gateway's budget leaves no room for a general one: uvicorn with aiohttp's client, passing bodies
through and nothing else, adds more than the gateway may as a whole (`make bench-serving` measures both in one run)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from typing import Protocol

import structlog

from serving.gateway.http.connection import Connection
from serving.gateway.http.request import Request

log = structlog.get_logger()

BACKLOG = 4_096
SWEEP_S = 0.25


class Application(Protocol):
    """Who answers. Both must be quick to return or to await."""

    def admit(self, request: Request) -> None:
        """Before the body is read. Raises ApiError to refuse."""

    async def serve(self, request: Request) -> None:
        """Answers the request, whatever happens; cancelled when the client is gone or the server must stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take. Times in seconds."""

    head_bytes: int = 16_384
    body_bytes: int = 1_048_576
    head_s: float = 10.0  # for a whole head
    body_s: float = 30.0  # and a whole body
    write_s: float = 30.0  # for a client that does not read
    idle_s: float = 75.0  # between two requests
    connections: int = 10_000


class Server:
    """Listens from `start` to `drain`."""

    def __init__(self, application: Application, limits: Limits) -> None:
        self.application, self.limits = application, limits
        self.connections: set[Connection] = set()
        self.draining = False
        self._emptied = asyncio.Event()
        self._listening: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None, *, share_port: bool = False) -> None:
        """Accepts connections. `share_port`: other processes may listen there too, the system spreads clients."""
        self.loop = asyncio.get_running_loop()
        self._listening = await self.loop.create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            reuse_port=share_port or None,
            ssl_handshake_timeout=self.limits.head_s if tls else None,
        )
        self._sweeper = self.loop.create_task(self._sweep())

    async def drain(self, timeout_s: float) -> None:
        """Accepts nobody new, lets requests under way end within the time, cuts the rest off."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for connection in list(self.connections):
            connection.end_soon()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty(), timeout_s)
        tasks = [task for connection in list(self.connections) if (task := connection.cut_off()) is not None]
        if tasks:
            log.warning("requests cut off by the end of the gateway", requests=len(tasks))
            await asyncio.wait(tasks, timeout=1.0)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _empty(self) -> None:
        self._emptied.clear()
        if self.connections:
            await self._emptied.wait()

    def left(self, connection: Connection) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        if not self.connections:
            self._emptied.set()

    async def _sweep(self) -> None:
        """One timer for all connections: a timer for each request would cost more than the request's parsing."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self.loop.time()
            for connection in list(self.connections):
                try:
                    connection.look(now)
                except Exception:  # the loop's top: a defect with one must not take the others' limits away
                    log.exception("connection not looked after")
                    connection.abort()
