"""A gateway's other port, not for clients: is it alive, is it ready, its metrics, and what operators may do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import prometheus_client
from aiohttp import web

from serving import metrics
from serving.gateway.access.audit import NO_AUDIT, AuditLog
from serving.gateway.admin.errors import runner
from serving.gateway.admin.operators import Keys, Operators, answering
from serving.gateway.admin.reviews import Desk, Reviews
from serving.gateway.engines.health import ReplicaHealth
from serving.rollout.changes import EngineLimits
from serving.routes.routing import RouteTable, served
from streams.log.settings import KafkaSettings

BODY_LIMIT_BYTES = 65_536


@asynccontextmanager
async def serving_admin(
    host: str,
    port: int,
    table: Callable[[], RouteTable],
    keys: Keys | None = None,
    kafka: KafkaSettings | None = None,
    ready: Callable[[], bool] = lambda: True,
    limits: EngineLimits | None = None,
    refresh: Callable[[], None] = lambda: None,
    health: ReplicaHealth | None = None,
    desk: Desk | None = None,
    audit: AuditLog = NO_AUDIT,
) -> AsyncIterator[None]:
    """Serve /healthz (alive), /readyz (`ready`, and some alias has a replica) and /metrics while
    entered; with keys and Kafka also /v1, see `serving.gateway.admin.operators`. `limits`: what the engines have room
    for. `refresh`: brings metrics up to date that others keep. `health`: the replicas' health as this gateway sees
    it. `desk`: takes what reviewers ask and answer. `audit`: takes who did what."""
    app = web.Application(middlewares=[answering(audit)], client_max_size=BODY_LIMIT_BYTES)
    app.add_routes(_probes(table, ready, refresh, health))
    if keys is not None and kafka is not None:
        app.add_routes(Operators(table, keys, kafka, limits).routes())
    if keys is not None and desk is not None:
        app.add_routes(Reviews(desk, keys).routes())
    served = runner(app)
    await served.setup()
    try:
        await web.TCPSite(served, host, port).start()
        yield
    finally:
        await served.cleanup()


def _probes(
    table: Callable[[], RouteTable],
    ready: Callable[[], bool],
    refresh: Callable[[], None],
    health: ReplicaHealth | None,
) -> list[web.RouteDef]:
    """Return the paths that are open to everyone who reaches the port."""

    async def liveness(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_: web.Request) -> web.Response:
        fit, text = readiness_of(table(), health) if ready() else (False, "asked to end")
        return web.Response(text=f"{text}\n", status=200 if fit else 503)

    async def scrape(_: web.Request) -> web.Response:
        show(table(), health)
        refresh()
        kind = {"content-type": prometheus_client.CONTENT_TYPE_LATEST}
        return web.Response(body=prometheus_client.generate_latest(), headers=kind)

    return [web.get("/healthz", liveness), web.get("/readyz", readiness), web.get("/metrics", scrape)]


def readiness_of(table: RouteTable, health: ReplicaHealth | None = None) -> tuple[bool, str]:
    """Return whether clients may come, and what is lacking. They may as long as one alias is served: a gateway that is
    not ready gets no client, and an alias without a replica would keep the others' clients away from every gateway."""
    if not table.routes:
        return False, "no route yet: Kafka has none or does not answer; homeostat promote writes the first"
    dead = health.dead() if health else frozenset()
    missing = sorted(alias for alias in table.routes if not served(table, alias, dead))
    some = len(missing) < len(table.routes)
    lacking = f"no healthy replica serves {', '.join(missing)}" if missing else ""
    return some, "; ".join(each for each in ("ready" if some else "", lacking) if each)


def show(table: RouteTable, health: ReplicaHealth | None = None) -> None:
    """Bring the gauges up to date."""
    for alias, route in table.routes.items():
        metrics.GENERATION.labels(alias).set(route.generation)
        metrics.WEIGHT.labels(alias).set(route.weight if route.canary else 0.0)
    metrics.HEALTHY.clear()  # of replicas that are gone
    for replica, attestation in table.attestations.items():
        well = health is None or health.well(replica)
        metrics.HEALTHY.labels(replica).set(attestation.healthy and well)
