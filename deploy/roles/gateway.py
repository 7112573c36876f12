"""The gateway: the clients' HTTP server, the capture of their events, and the admin port."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import ssl
import sys
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.roles.access import audit_log, key_ring, revocations
from deploy.roles.attestation_trust import polled_side_cars, trusted
from deploy.roles.process import instance, stopped_by_signals, tracer_of
from deploy.roles.shipper import journal_folder, shipping
from deploy.stack.engines import by_address
from streams.identity import process_name

if TYPE_CHECKING:
    from serving.gateway.access.keys import KeyRing
    from serving.gateway.application import Gateway
    from serving.gateway.http.certificate import Certificate
    from serving.gateway.observation.observer import RequestObserver
    from serving.routes.follower import Follower
    from serving.routes.polling import SideCars
    from serving.routes.routing import RouteTable
    from serving.settings import GatewaySettings
    from streams.journal.writer import Journal

SWITCH_S = 0.0005  # between threads: a request must not wait for the follower's
CAUGHT_UP_S = 5.0  # to read the routes before the first request; without Kafka the last known ones serve


def gateway(config: Config, config_path: Path | None, name: str) -> None:
    """Serve clients until SIGTERM or SIGINT, then let requests under way end."""
    from streams.log.fitness.role import watch_role

    sys.setswitchinterval(SWITCH_S)
    _raise_file_limit()
    watch_role(config.kafka, "gateway")
    with revocations(config, name) as revoked, key_ring(config, name, revoked) as keys:
        process = GatewayProcess.of(config, config_path, name, keys)
        try:
            _run(process.serve())
        finally:
            process.close()


@dataclass(frozen=True, slots=True)
class GatewayProcess:
    """One gateway process, its parts made from the configuration."""

    config: Config
    config_path: Path | None
    name: str
    keys: KeyRing
    journal: Journal
    follower: Follower
    application: Gateway
    table: Callable[[], RouteTable]
    side_cars: SideCars | None = None  # where [replicas] lists some

    @classmethod
    def of(cls, config: Config, config_path: Path | None, name: str, keys: KeyRing) -> GatewayProcess:
        """Make the parts; the follower has read the routes, or had CAUGHT_UP_S for it."""
        from serving.gateway.application import Gateway
        from serving.routes.attestations import stale_after_s
        from serving.routes.follower import Follower
        from streams.journal.writer import Fsync, Journal, JournalSettings

        settings = config.gateway
        kept = JournalSettings(
            max_bytes=settings.spool_bytes,
            segment_bytes=min(JournalSettings().segment_bytes, settings.spool_bytes // 2),
            fsync=Fsync(settings.fsync),
        )
        journal = Journal(journal_folder(config, name), kept, process_name("gateway", name))
        routes = config.stack.var / "routes" / f"{name}.json"
        follower = Follower(config.kafka, routes, "gateway", stale_after_s(config.controller), trusted(config))
        polled = polled_side_cars(config, follower)
        table, side_cars, stale, tls_at = polled or (follower.table, None, follower.stale, _by_the_system)
        try:
            follower.start()
            follower.wait(CAUGHT_UP_S)
            if side_cars is not None:
                side_cars.start()
                side_cars.wait(CAUGHT_UP_S)
            signer = secrets.signer(config)
            sources, scoring = config.labels.sources, config.scoring
            audit = audit_log(config, name)
            application = Gateway(
                settings,
                table,
                keys,
                signer,
                journal.publish,
                stale,
                scoring,
                sources,
                tls_at,
                audit,
                by_address(config.engines),
            )
        except BaseException:
            follower.close()
            journal.close()
            raise
        return cls(config, config_path, name, keys, journal, follower, application, table, side_cars)

    async def serve(self) -> None:
        """Answer requests until a signal; the shipper runs as long, and has what is left afterwards."""
        from deploy.operator.models.versions import limits
        from deploy.operator.review.admin_desk import AdminDesk
        from serving.gateway.admin.port import serving_admin
        from serving.gateway.http.listener import Listener
        from streams.journal.metrics import ShipperMetrics

        stack, settings, application = self.config.stack, self.config.gateway, self.application
        stop = stopped_by_signals()
        observer = observer_of(self.config, self.name, application.paths)
        server = Listener(application, application.limits, settings.cors_origins, observer)
        certificate = certificate_of(settings)
        reload = certificate.reload if certificate else lambda: None
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        shipped = ShipperMetrics(journal_folder(self.config, self.name), lambda: self.follower.presence.connected)
        admin_port = stack.gateways()[self.name]
        admin = partial(serving_admin, stack.bind, admin_port, self.table, self.keys, self.config.kafka)
        async with (
            shipping(self.name, self.config_path),
            admin(
                ready=lambda: not stop.is_set(),
                limits=limits(self.config),
                refresh=shipped.show,
                health=application.health,
                desk=AdminDesk(self.config),
                audit=audit_log(self.config, self.name),
            ),
        ):
            shared = bool(stack.more_gateway_admin_ports)
            await server.start(settings.host, stack.gateway_port, certificate, share_port=shared)
            _freeze_memory()
            await stop.wait()
            await asyncio.sleep(settings.drain_delay_s)
            await server.drain(settings.drain_s)
            await application.close()
            self.journal.close()
            if observer is not None:
                await asyncio.to_thread(observer.close)
            closing = asyncio.create_task(asyncio.to_thread(self.follower.close))  # slow where Kafka is away
        await closing

    def close(self) -> None:
        """Stop the follower and close the journal."""
        if self.side_cars is not None:
            self.side_cars.close()
        self.follower.close()
        self.journal.close()


def _by_the_system(url: str) -> ssl.SSLContext | None:
    """Return that nothing more is known of the engine at this address."""
    return None


def observer_of(config: Config, name: str, paths: Collection[str]) -> RequestObserver | None:
    """Return the observer of requests; None where neither access log nor traces are wanted: then none is called."""
    tracer = tracer_of(config, "gateway", name)
    if tracer is None and not config.logs.access_log:
        return None
    from serving.gateway.observation.access_log import AccessLog
    from serving.gateway.observation.observer import RequestObserver
    from streams.telemetry.logs import line

    render = line(config.logs.format, "gateway", instance(name))
    return RequestObserver(AccessLog(render, sys.stderr.write) if config.logs.access_log else None, tracer, paths)


def certificate_of(settings: GatewaySettings) -> Certificate | None:
    """Return the clients' certificate, None without one. Raise SecretError where everybody may read the key."""
    from serving.gateway.http.certificate import Certificate

    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key, secrets.check_closed)


def _raise_file_limit() -> None:
    """A connection is a file, and the usual bound of 1,024 is less than `gateway.max_connections`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the bound is no number
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _freeze_memory() -> None:
    """Take objects that stay for good out of the collector's sight, and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def _run(work: Coroutine[None, None, None]) -> None:
    """Run with uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
