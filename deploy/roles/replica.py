"""The side-car of one engine: the only listener of its pod, which loads, proves and attests what the engine serves."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.attestation_trust import trusted
from deploy.roles.controller import engine_settings
from deploy.roles.process import stopped_by_signals, thread_stopped_by_signals
from deploy.stack.base_models import base_model_ids

if TYPE_CHECKING:
    from serving.gateway.http.certificate import Certificate
    from serving.routes.follower import Follower
    from serving.sidecar.settings import SideCarSettings
    from serving.sidecar.signing import Attestations

CAUGHT_UP_S = 5.0  # to read the routes before the first look at the engine; without Kafka the last known ones hold


def replica(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then leave a tombstone and let requests under way end. Raise ValueError where
    a file of the settings cannot be used."""
    from serving.routes.follower import Follower
    from serving.routes.trust import everyone
    from serving.sidecar.engine_metrics import PATH, engine_metrics
    from streams.log.fitness.role import watch_role
    from streams.objects.cache import keep_tidy

    stop = thread_stopped_by_signals()
    check_key(config.replica)
    watch_role(config.kafka, "replica")
    base, former = base_model_ids(config.stack)
    signed = attestations(config, base)
    routes = config.stack.var / "routes" / f"replica-{signed.replica.name}.json"
    follower = Follower(config.kafka, routes, "replica", trust=trusted(config) if config.replicas else everyone)
    follower.start()
    follower.wait(CAUGHT_UP_S)
    looks = [health.kafka_lacking(config, follower.presence), health.disk_lacking(config)]
    keep_tidy(config.kept.trees(), config.storage.cache_gb, stop)
    try:
        pages = {PATH: engine_metrics(config.replica.behind())}
        with health.answering(config, config.replica.metrics_port, health.first(looks), pages):
            asyncio.run(_serve(config, follower, signed, former, stop))
    finally:
        stop.set()
        follower.close()


def check_key(settings: SideCarSettings) -> None:
    """Raise ValueError where the engine's key cannot be read: else only the first request would show it."""
    try:
        settings.behind().bearer()
    except ValueError as error:
        raise ValueError(f"replica.engine_key_file: {error}") from error


def attestations(config: Config, base_model: str) -> Attestations:
    """Return the side-car's attestations, by its name, address and key. Raise ValueError where one of them is none."""
    from serving.settings import Replica
    from serving.sidecar.signing import Attestations, read_key

    settings = config.replica
    try:
        key = read_key(secrets.replica_key(config))
    except ValueError as error:
        raise ValueError(f"replica.key_file {settings.key_file or ''}: {error}") from error
    return Attestations(Replica(settings.called(), settings.reached()), base_model, key)


async def _serve(
    config: Config, follower: Follower, signed: Attestations, former: str, stopped: threading.Event
) -> None:
    from serving.replica import engine
    from serving.replica.reconciler import Reconciler
    from serving.sidecar.service import serve
    from streams.log.append import Writer

    stop, settings, own = stopped_by_signals(), config.replica, signed.replica
    if stopped.is_set():  # before this loop took the signals over
        return
    signed.before(follower.table().attestations.get(own.name))
    async with AsyncExitStack() as held:
        session = await held.enter_async_context(engine.session())
        writer = Writer(config.kafka, f"replica/{own.name}")
        held.callback(writer.close)
        ours = Reconciler(
            engine_settings(config),
            own,
            engine.VllmAdmin(session, settings.engine, access=settings.behind()),
            follower.table,
            writer.append,
            config.kept.trees(),
            signed.base_model,
            former,
            seal=signed.seal,
        )
        follower.listen(ours.wake)
        follower.listen_to_attestations(signed.came)
        await serve(settings, ours, signed, stop, certificate_of(settings))


def certificate_of(settings: SideCarSettings) -> Certificate | None:
    """Return the side-car's certificate, None without one. Raise SecretError where everybody may read the key."""
    from serving.gateway.http.certificate import Certificate

    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key, secrets.check_closed, settings.client_ca)
