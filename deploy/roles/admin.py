"""The admin API: the command line, for those who have neither Kafka nor the store at hand."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import click

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.roles.access import audit_log, key_ring, revocations
from deploy.roles.process import stopped_by_signals
from streams.objects.cache import keep_tidy

DRAIN_S = 20.0  # for commands under way, once a signal has come
LOOK_S = 60.0  # how often the certificate's files are looked at


def admin(config: Config, config_path: Path | None) -> None:
    """Run commands for others until SIGTERM or SIGINT. The routes are followed, for a command that comes while Kafka
    is away; what commands fetched from a bucket is kept within its bounds."""
    from serving.routes.follower import Follower

    follower = Follower(config.kafka, config.stack.var / "routes" / "admin.json", "admin")
    stop = threading.Event()
    follower.start()
    keep_tidy(config.kept.trees(), config.storage.cache_gb, stop)
    try:
        asyncio.run(_serve(config, config_path.resolve() if config_path else None))
    finally:
        stop.set()
        follower.close()


async def _serve(config: Config, config_path: Path | None) -> None:
    from aiohttp import web

    from deploy.admin.application import AdminApi
    from serving.gateway.admin.errors import runner
    from serving.gateway.http.certificate import Certificate

    settings, stop = config.admin, stopped_by_signals()
    certificate = None
    if settings.tls_cert is not None and settings.tls_key is not None:
        certificate = Certificate(settings.tls_cert, settings.tls_key, secrets.check_closed)
    root = click.get_current_context().find_root().command
    assert isinstance(root, click.Group)
    with revocations(config, "admin") as revoked, key_ring(config, "admin", revoked, default=False) as callers:
        api = AdminApi(root, callers, settings, audit_log(config, "admin"), config_path)
        served = runner(api.application(), handler_cancellation=True, shutdown_timeout=DRAIN_S)
        await served.setup()
        try:
            context = certificate.context if certificate else None
            await web.TCPSite(served, config.stack.bind, config.stack.admin_port, ssl_context=context).start()
            while not await _set_within(stop, LOOK_S):
                if certificate:
                    certificate.reload_if_changed()
        finally:
            await served.cleanup()


async def _set_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
