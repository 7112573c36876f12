"""The processes of the stack, each wired from the configuration: gateway, worker, controller, trainer."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from deploy import secrets
from deploy.config import Config
from deploy.ports import HOST

log = structlog.get_logger()

SWITCH_S = 0.0005  # between threads: the publisher's must not keep a request waiting
CAUGHT_UP_S = 5.0  # to read the routes before the first request; without Kafka the last known ones serve
DRAIN_S = 10  # for requests under way when the gateway is stopped
RESTART_S = 2.0


def run(role: str, config: Config, config_path: Path | None = None) -> None:
    """Works until SIGTERM or SIGINT."""
    set_up_logs()
    ROLES[role](config)


def gateway(config: Config) -> None:
    """Clients' door: ASGI server, capture, and the admin port."""
    from serving.follower import Follower
    from serving.gateway import create_gateway
    from serving.keys import Key, KeyRing
    from streams.identity import Signer
    from streams.publisher import Publisher, PublisherSettings

    sys.setswitchinterval(SWITCH_S)
    settings, var = config.gateway, config.stack.var
    keys = KeyRing([Key.of("default", secrets.api_key(config))], settings.keys_file)
    spool = PublisherSettings(var / "spool" / "gateway", settings.queue_events, settings.spool_bytes)
    publisher = Publisher(config.kafka, spool, f"gateway/{socket.gethostname()}")
    follower = Follower(config.kafka, var / "routes" / "gateway.json")
    publisher.start()
    follower.start()
    follower.wait(CAUGHT_UP_S)
    try:
        signer = Signer(secrets.signing_key(config))
        _loop(_gateway(config, create_gateway(settings, follower.table, keys, signer, publisher.publish), follower))
    finally:
        follower.close()
        publisher.close()


async def _gateway(config: Config, app: Any, follower: Any) -> None:
    import uvicorn

    from serving.admin import serving_admin

    stack = config.stack
    options = uvicorn.Config(
        app,
        host=config.gateway.host,
        port=stack.gateway_port,
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    async with serving_admin(HOST, stack.gateway_admin_port, follower.table):
        await uvicorn.Server(options).serve()


def worker(config: Config) -> None:
    """Faust: ingest and judge. Started again where Faust gives up: what was not acknowledged comes again."""
    from streams import app

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
            except RuntimeError as error:
                log.error("worker is started again", error=str(error))
                await asyncio.sleep(RESTART_S)

    asyncio.run(work())


def controller(config: Config) -> None:
    """Rollouts, and a reconciler for each engine of this machine."""
    from prometheus_client import start_http_server

    from serving.controller import Controller
    from serving.follower import Follower

    follower = Follower(config.kafka, config.stack.var / "routes" / "controller.json")
    follower.start()
    settings = replace(config.controller, max_loras=config.stack.max_loras)
    acting = Controller(config.kafka, settings, follower, f"controller/{socket.gethostname()}")
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
    from deploy.stack import model_folder
    from retrain.base_model import base_model_id
    from serving import engine
    from serving.reconciler import Reconciler
    from serving.settings import Replica
    from streams.log import Writer

    stop = asyncio.Event()
    _on_signals(asyncio.get_running_loop(), stop)
    settings = replace(config.controller, max_loras=config.stack.max_loras)
    root = (config.stack.var / "adapters").resolve()
    base = base_model_id(await asyncio.to_thread(model_folder, config.stack))
    async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
        session = await held.enter_async_context(engine.session())
        for name, url in config.stack.engine_urls().items():
            writer = Writer(config.kafka, f"reconciler/{name}")
            held.callback(writer.close)
            asked = engine.Engine(session, url)
            each = Reconciler(settings, Replica(name, url), asked, follower.table, writer.append, root, base)
            tasks.create_task(each.run(stop))


def trainer(config: Config) -> None:
    """Retrainings, one at a time; a second trainer of the same folder waits for the first to end."""
    from prometheus_client import start_http_server

    from deploy.stack import model_folder
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
    "gateway": gateway,
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
