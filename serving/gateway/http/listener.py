"""uvicorn's server for one application, in the caller's event loop: from `start` to `drain`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from functools import partial

import structlog
import uvicorn

from serving.gateway.http.asgi import Application, AsgiApplication, ExchangeObserver
from serving.gateway.http.certificate import Certificate
from serving.gateway.http.connections import Connections
from serving.gateway.http.limits import Limits
from serving.gateway.http.protocol import GuardedProtocol, Shared

log = structlog.get_logger()

BACKLOG = 4_096
LOOK_EVERY = 3  # of uvicorn's ticks, which come each 0.1 s
CUT_OFF_S = 1.0  # for requests that are cut off to be answered


class Listener(uvicorn.Server):
    """uvicorn's server, without its `serve`, which would take the process's signals. Its ticks keep the limits."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        origins: Collection[str] = (),
        observer: ExchangeObserver | None = None,
    ) -> None:
        """`origins`: of web pages that may read answers, see `serving.gateway.http.cors`; `observer`: of each request,
        None where nothing is noted."""
        config = uvicorn.Config(
            AsgiApplication(application, limits, origins, observer),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
        )
        super().__init__(config)
        self._certificate: Certificate | None = None
        self._shared = Shared(config, limits, self.server_state, Connections(limits))

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        return int(self.servers[0].sockets[0].getsockname()[1])

    async def start(
        self, host: str, port: int, certificate: Certificate | None = None, *, share_port: bool = False
    ) -> None:
        """Accept connections. `share_port`: other processes may listen there too, the system spreads clients."""
        loop, limits, self._certificate = asyncio.get_running_loop(), self._shared.limits, certificate
        self.config.load()
        listening = await loop.create_server(
            partial(GuardedProtocol, self._shared),
            host,
            port,
            ssl=certificate.context if certificate else None,
            backlog=BACKLOG,
            reuse_port=share_port or None,
            ssl_handshake_timeout=limits.head_s if certificate else None,
            ssl_shutdown_timeout=limits.write_s if certificate else None,
        )
        self.servers = [listening]
        await self.on_tick(0)
        self._ticking = loop.create_task(self.main_loop())

    async def on_tick(self, counter: int) -> bool:
        """Keep the limits of all connections: a timer for each request would cost more than its parsing."""
        if counter % LOOK_EVERY == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                try:
                    connection.enforce_times(now)
                except Exception:  # the loop's top: a defect with one must not take the others' limits away
                    log.exception("connection not looked after")
                    connection.transport.abort()
        if counter % 10 == 0 and self._certificate is not None:
            self._certificate.reload_if_changed()
        return await super().on_tick(counter)

    async def drain(self, timeout_s: float) -> None:
        """Accept no more connections, let requests under way end within the time, cut the rest off."""
        for listening in self.servers:
            listening.close()
        for connection in self._connections():
            connection.shutdown()
        await self._emptied(timeout_s)
        if tasks := list(self.server_state.tasks):
            log.warning("requests cut off by the end of the gateway", requests=len(tasks))
        for task in tasks:
            task.cancel()
        await self._emptied(CUT_OFF_S if tasks else 0.0)
        for connection in self._connections():
            connection.transport.abort()
        self._ticking.cancel()

    async def _emptied(self, timeout_s: float) -> None:
        emptied = self._shared.counts.emptied
        emptied.clear()
        if self.server_state.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(emptied.wait(), timeout_s)

    def _connections(self) -> list[GuardedProtocol]:
        return [each for each in self.server_state.connections if isinstance(each, GuardedProtocol)]
