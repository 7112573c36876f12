"""The controller: rollouts, and a reconciler for each engine of this machine; side-cars look after their own."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from deploy.config.settings import Config
from deploy.roles.attestation_trust import trusted
from deploy.roles.process import stopped_by_signals
from deploy.stack.ports import HOST
from streams.objects.cache import keep_tidy

if TYPE_CHECKING:
    from serving.routes.follower import Follower
    from serving.settings import ControllerSettings

DRAIN_S = 10  # for threads to end
LOOK_S = 3.0  # for a bucket, when a candidate is looked at: all rollouts wait


def controller(config: Config) -> None:
    """Move rollouts on and reconcile the engines until SIGTERM or SIGINT."""
    from prometheus_client import start_http_server

    from serving.rollout.approvals import ApprovalRule
    from serving.rollout.controller import Controller
    from serving.routes.follower import Follower

    routes = config.stack.var / "routes" / "controller.json"
    follower = Follower(config.kafka, routes, "controller", trust=trusted(config))
    follower.start()
    name = f"controller/{socket.gethostname()}"
    trees, policy = config.kept.trees(LOOK_S), config.policy
    approval = ApprovalRule(policy.people, policy.approval_timeout_s)
    rollouts = Controller(config.kafka, engine_settings(config), follower, name, trees, config.policy.trial, approval)
    start_http_server(config.stack.controller_metrics_port, addr=HOST)
    stop = threading.Event()
    keep_tidy(trees, config.storage.cache_gb, stop)
    thread = threading.Thread(target=rollouts.run, args=(stop,), name="controller")
    thread.start()
    try:
        asyncio.run(_reconcile(config, follower))
    finally:
        stop.set()
        thread.join(DRAIN_S)
        follower.close()


async def _reconcile(config: Config, follower: Follower) -> None:
    from deploy.stack.lifecycle import model_folder
    from retrain.base_model import base_model_id, former_base_model_id
    from serving.replica import engine
    from serving.replica.reconciler import Reconciler
    from serving.settings import Replica
    from streams.log.append import Writer

    stop = stopped_by_signals()
    if config.replicas:
        await stop.wait()
        return
    settings, trees = engine_settings(config), config.kept.trees()
    model = await asyncio.to_thread(model_folder, config.stack)
    base = await asyncio.to_thread(base_model_id, model, config.stack.var / "digests")
    former = former_base_model_id(model)
    async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
        session = await held.enter_async_context(engine.session())
        for name, url in config.stack.engine_urls().items():
            writer = Writer(config.kafka, f"reconciler/{name}")
            held.callback(writer.close)
            replica, adapters = Replica(name, url), engine.VllmAdmin(session, url)
            reconciler = Reconciler(settings, replica, adapters, follower.table, writer.append, trees, base, former)
            follower.listen(reconciler.wake)
            tasks.create_task(reconciler.run(stop))


def engine_settings(config: Config) -> ControllerSettings:
    """Return how engines are looked after: their room for adapters is set in one place, where they are started."""
    return replace(config.controller, max_loras=config.stack.max_loras, max_lora_rank=config.stack.max_lora_rank)
