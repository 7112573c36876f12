"""The gateway's other port, not for clients: is it alive, is it ready, and its metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
from aiohttp import web

from serving import metrics
from serving.routing import RouteTable, served


@asynccontextmanager
async def serving_admin(
    host: str, port: int, table: Callable[[], RouteTable], *, ready: Callable[[], bool] = lambda: True
) -> AsyncIterator[None]:
    """Serves /healthz (alive), /readyz (every alias has a replica, and there is one) and /metrics while entered."""
    app = web.Application()

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_: web.Request) -> web.Response:
        lacking = unready(table()) if ready() else "ending; no new requests\n"
        return web.Response(text=lacking or "ready\n", status=503 if lacking else 200)

    async def scrape(_: web.Request) -> web.Response:
        show(table())
        kind = {"content-type": prometheus_client.CONTENT_TYPE_LATEST}
        return web.Response(body=prometheus_client.generate_latest(), headers=kind)

    app.add_routes([web.get("/healthz", health), web.get("/readyz", readiness), web.get("/metrics", scrape)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def unready(table: RouteTable) -> str:
    """What is lacking, in words; empty where nothing is."""
    if not table.routes:
        return "no route yet; homeostat promote writes the first\n"
    missing = sorted(alias for alias in table.routes if not served(table, alias))
    return f"no healthy replica serves {', '.join(missing)}\n" if missing else ""


def show(table: RouteTable) -> None:
    """Brings the gauges up to date."""
    for alias, route in table.routes.items():
        metrics.GENERATION.labels(alias).set(route.generation)
        metrics.WEIGHT.labels(alias).set(route.weight if route.canary else 0.0)
    for replica, attestation in table.attestations.items():
        metrics.HEALTHY.labels(replica).set(attestation.healthy)
