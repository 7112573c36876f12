"""A side-car from its start to its end: it listens, its reconciler works, and at the end it says that it goes."""

from __future__ import annotations

import asyncio
import time

import structlog

from serving.gateway.engines.pool import EnginePool
from serving.gateway.http.certificate import Certificate
from serving.gateway.http.limits import Limits
from serving.gateway.http.listener import Listener
from serving.replica.reconciler import Reconciler
from serving.sidecar.proxy import SideCar
from serving.sidecar.settings import SideCarSettings
from serving.sidecar.signing import Attestations

log = structlog.get_logger()

PASS_S = 5.0  # for the reconciler to end what it does; a load may take longer, and is left


async def serve(
    settings: SideCarSettings,
    ours: Reconciler,
    signed: Attestations,
    stop: asyncio.Event,
    certificate: Certificate | None = None,
) -> None:
    """Serve until `stop`, then attest that it goes, answer on until gateways know, and let requests under way end."""
    pool = engine_pool(settings)
    server = Listener(SideCar(settings.engine, pool, ours, signed, settings.timeout_s), limits(settings))
    await server.start(settings.host, settings.port, certificate)
    own = signed.replica
    log.info(
        "side-car listens", replica=own.name, address=own.url, public_key=signed.public, base_model=signed.base_model
    )
    working, stopping = asyncio.create_task(ours.run(stop)), asyncio.create_task(stop.wait())
    await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait([working], timeout=PASS_S)
    for task in (working, stopping):
        task.cancel()
    await asyncio.gather(working, stopping, return_exceptions=True)
    await ours.attester.leave(time.monotonic())
    await asyncio.sleep(settings.drain_delay_s)
    await server.drain(settings.drain_s)
    pool.close()


def engine_pool(settings: SideCarSettings) -> EnginePool:
    """Return connections to the engine, with its key."""
    return EnginePool(engines={settings.engine: settings.behind()})


def limits(settings: SideCarSettings) -> Limits:
    """Return the bounds on requests. Few clients have many connections: all of a gateway come from one address."""
    held = max(settings.bodies_bytes, settings.body_limit_bytes)
    return Limits(
        body_bytes=settings.body_limit_bytes,
        bodies_bytes=held,
        bodies_bytes_per_key=held,
        connections_per_address=Limits().connections,
    )
