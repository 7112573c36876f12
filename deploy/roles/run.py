"""The processes of the stack, each wired from the configuration: gateway, worker, controller, trainer."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.stack.ports import HOST
from streams.private_files import UMASK, private_folder

if TYPE_CHECKING:
    from serving.gateway.access.keys import KeyRing
    from serving.gateway.application import Gateway
    from serving.gateway.http.certificate import Certificate
    from serving.routes.follower import Follower
    from serving.settings import ControllerSettings, GatewaySettings
    from streams.journal.writer import Journal

log = structlog.get_logger()

SWITCH_S = 0.0005  # between threads: the followers' must not keep a request waiting
CAUGHT_UP_S = 5.0  # to read the routes before the first request; without Kafka the last known ones serve
DRAIN_S = 10  # for threads to end
SHIPPER_NICE = 4  # replies first; on a core of their own both get what they need: 29 % for a shipper, it takes 27 %
LEFT_S = 8.0  # for a shipper to ship what is left; with the gateway's own end less than 25 s
RESTART_S = 2.0


def run(role: str, config: Config, config_path: Path | None = None, name: str = "") -> None:
    """Works until SIGTERM or SIGINT. `name` tells processes of one role apart."""
    set_up_logs()
    os.umask(UMASK)
    private_folder(config.stack.var)
    if role == "gateway":
        gateway(config, config_path, name or role)
    elif role == "shipper":
        shipper(config, name or "gateway")
    else:
        ROLES[role](config)


def gateway(config: Config, config_path: Path | None, name: str) -> None:
    """Clients' door: HTTP server, capture, and the admin port."""
    from serving.gateway.access.keys import Key, KeyRing
    from serving.gateway.application import Gateway
    from serving.routes.attestations import stale_after_s
    from serving.routes.follower import Follower
    from streams.identity import Signer
    from streams.journal.writer import Fsync, Journal, JournalSettings

    sys.setswitchinterval(SWITCH_S)
    _as_many_files_as_may_be()
    settings, var = config.gateway, config.stack.var
    keys = KeyRing([Key.of("default", secrets.api_key(config))], settings.keys_file)
    kept = JournalSettings(
        max_bytes=settings.spool_bytes,
        segment_bytes=min(JournalSettings().segment_bytes, settings.spool_bytes // 2),
        fsync=Fsync(settings.fsync),
    )
    journal = Journal(journal_folder(config, name), kept, f"{name}/{socket.gethostname()}")
    follower = Follower(config.kafka, var / "routes" / f"{name}.json", "gateway", stale_after_s(config.controller))
    follower.start()
    follower.wait(CAUGHT_UP_S)
    try:
        signer = Signer(secrets.signing_key(config))
        acting = Gateway(settings, follower.table, keys, signer, journal.publish, follower.stale)
        _loop(_gateway(config, config_path, name, acting, keys, journal, follower))
    finally:
        follower.close()
        journal.close()


async def _gateway(
    config: Config,
    config_path: Path | None,
    name: str,
    acting: Gateway,
    keys: KeyRing,
    journal: Journal,
    follower: Follower,
) -> None:
    from deploy.operator.versions import limits
    from deploy.roles.shipping import shipping
    from serving.gateway.admin.port import serving_admin
    from serving.gateway.http.listener import Listener
    from streams.journal.metrics import Shipped

    stack, settings, stop = config.stack, config.gateway, asyncio.Event()
    _on_signals(asyncio.get_running_loop(), stop)
    server, certificate = Listener(acting, acting.limits, settings.cors_origins), _certificate(settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, certificate.reload if certificate else lambda: None)
    shipped = Shipped(journal_folder(config, name), lambda: follower.presence.connected)
    admin = partial(serving_admin, HOST, stack.gateways()[name], follower.table, keys, config.kafka)
    async with (
        shipping(name, config_path),
        admin(ready=lambda: not stop.is_set(), limits=limits(config), refresh=shipped.show, standing=acting.standing),
    ):
        shared = bool(stack.more_gateway_admin_ports)
        await server.start(settings.host, stack.gateway_port, certificate, share_port=shared)
        _settle_memory()
        await stop.wait()
        await asyncio.sleep(settings.drain_delay_s)
        await server.drain(settings.drain_s)
        await acting.close()
        journal.close()
        closing = asyncio.create_task(asyncio.to_thread(follower.close))  # while the shipper ends: Kafka may be away
    await closing


def shipper(config: Config, name: str) -> None:
    """Takes a gateway's events to Kafka, until its standard input ends and nothing is left, or for LEFT_S more."""
    from streams.journal.shipper import Shipper, ShipperSettings

    os.nice(SHIPPER_NICE)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # a group's signal is meant for the gateway, which tells by the pipe

    def watch() -> None:
        sys.stdin.buffer.read()
        shipping.hurry()
        deadline = time.monotonic() + LEFT_S
        while not shipping.drained() and time.monotonic() < deadline:
            time.sleep(0.05)
        stop.set()

    settings = ShipperSettings(linger_s=config.gateway.ship_every_s)
    shipping = Shipper(config.kafka, journal_folder(config, name), f"{name}/{socket.gethostname()}", settings)
    threading.Thread(target=watch, daemon=True).start()
    shipping.run(stop)


def journal_folder(config: Config, name: str) -> Path:
    """Where a gateway's events wait for Kafka."""
    return config.stack.var / "spool" / name


def _certificate(settings: GatewaySettings) -> Certificate | None:
    from serving.gateway.http.certificate import Certificate

    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key, secrets.check_closed)


def _as_many_files_as_may_be() -> None:
    """A connection is a file, and the usual bound of 1,024 is less than `gateway.max_connections`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # where the bound is no number
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settle_memory() -> None:
    """What is there now stays: the collector need not look at it again, and need not look often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def worker(config: Config) -> None:
    """Faust: ingest and judge. Started again where Faust gives up: what was not acknowledged comes again."""
    from streams.log.availability import Presence
    from streams.worker import app

    var = config.stack.var
    settings = replace(
        config.worker,
        metrics_port=config.stack.worker_metrics_port,
        lake=var / "lake",
        profiles=var / "profiles",
        reports=var / "reports",
    )

    async def work() -> None:
        stop = asyncio.Event()
        _on_signals(asyncio.get_running_loop(), stop)
        while not stop.is_set():
            try:
                await app.run(config.kafka, settings, config.monitor, config.policy, stop)
            except (RuntimeError, LookupError) as error:  # a topic may be away for a while
                log.error("worker is started again", error=str(error))
                await asyncio.sleep(RESTART_S)

    with Presence(config.kafka, "worker"):
        asyncio.run(work())


def controller(config: Config) -> None:
    """Rollouts, and a reconciler for each engine of this machine."""
    from prometheus_client import start_http_server

    from serving.rollout.controller import Controller
    from serving.routes.follower import Follower

    follower = Follower(config.kafka, config.stack.var / "routes" / "controller.json", "controller")
    follower.start()
    settings = _controlled(config)
    acting = Controller(config.kafka, settings, follower, f"controller/{socket.gethostname()}", _adapter_root(config))
    start_http_server(config.stack.controller_metrics_port, addr=HOST)
    stop = threading.Event()
    thread = threading.Thread(target=acting.run, args=(stop,), name="controller")
    thread.start()
    try:
        asyncio.run(_reconcile(config, follower))
    finally:
        stop.set()
        thread.join(DRAIN_S)
        follower.close()


async def _reconcile(config: Config, follower: Any) -> None:
    from deploy.stack.lifecycle import model_folder
    from retrain.base_model import base_model_id, former_base_model_id
    from serving.replica import engine
    from serving.replica.reconciler import Reconciler
    from serving.settings import Replica
    from streams.log.read import Writer

    stop = asyncio.Event()
    _on_signals(asyncio.get_running_loop(), stop)
    settings = _controlled(config)
    root = _adapter_root(config)
    model = await asyncio.to_thread(model_folder, config.stack)
    base = await asyncio.to_thread(base_model_id, model, config.stack.var / "digests")
    former = former_base_model_id(model)
    async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
        session = await held.enter_async_context(engine.session())
        for name, url in config.stack.engine_urls().items():
            writer = Writer(config.kafka, f"reconciler/{name}")
            held.callback(writer.close)
            asked = engine.Engine(session, url)
            each = Reconciler(settings, Replica(name, url), asked, follower.table, writer.append, root, base, former)
            follower.listen(each.wake)
            tasks.create_task(each.run(stop))


def _controlled(config: Config) -> ControllerSettings:
    """What the engines have room for is said once, where they are started."""
    return replace(config.controller, max_loras=config.stack.max_loras, max_lora_rank=config.stack.max_lora_rank)


def _adapter_root(config: Config) -> Path:
    return (config.stack.var / "adapters").resolve()


def trainer(config: Config) -> None:
    """Retrainings, one at a time; a second trainer of the same folder waits for the first to end."""
    from prometheus_client import start_http_server

    from deploy.stack.lifecycle import model_folder
    from retrain.trainer import Trainer, Workplace

    stack, stop = config.stack, threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    start_http_server(stack.trainer_metrics_port, addr=HOST)
    place = Workplace(
        model_dir=model_folder(stack),
        var=stack.var,
        engine=next(iter(stack.engine_urls().values())),
        metrics=config.gateway.metrics,
    )
    with _alone(stack.var / "trainer.lock"):
        Trainer(config.kafka, config.retrain, place, f"trainer/{socket.gethostname()}").run(stop)


ROLES: dict[str, Callable[[Config], None]] = {
    "worker": worker,
    "controller": controller,
    "trainer": trainer,
}


def set_up_logs() -> None:
    """One line an event, on stderr; libraries only from warnings on."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)  # its warnings are our warnings, said again and again
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _loop(work: Any) -> None:
    """uvloop where it is to be had."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def _on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
