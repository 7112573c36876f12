"""The controller: rollouts, and a reconciler for each engine of this machine or of [engines]; side-cars look after
their own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.attestation_trust import trusted
from deploy.roles.process import lock_when_free, own_name, stopped_by_signals, thread_stopped_by_signals, tracer_of
from streams.identity import ADAPTERS, process_name
from streams.objects.cache import keep_tidy

if TYPE_CHECKING:
    from pathlib import Path

    from serving.replica.standby import Standby
    from serving.routes.follower import Follower
    from serving.settings import ControllerSettings
    from streams.engine_access import EngineAccess

DRAIN_S = 10  # for threads to end
LOOK_S = 3.0  # for a bucket, when a candidate is looked at: all rollouts wait
CAUGHT_UP_S = 10.0  # to read who looks after which engine; without Kafka that is what was known last


def controller(config: Config) -> None:
    """Move rollouts on and reconcile the engines until SIGTERM or SIGINT. Several controllers may run: the log's order
    decides between their routes, and one of them looks after each engine. A second one of the same folder waits."""
    from serving.replica.standby import Standby
    from serving.routes.follower import Follower
    from streams.log.fitness.role import watch_role

    stop = thread_stopped_by_signals()
    watch_role(config.kafka, "controller")
    with ExitStack() as held:
        routes = config.stack.var / "routes" / "controller.json"
        follower = Follower(config.kafka, routes, "controller", trust=trusted(config))
        looks = [
            health.kafka_lacking(config, follower.presence),
            lambda: "" if follower.wait(0) else "the routes are not read yet",
            held.enter_context(health.store_watched(config)),
            health.disk_lacking(config),
        ]
        held.enter_context(health.answering(config, config.stack.controller_metrics_port, health.first(looks)))
        if (lock := lock_when_free(config.stack.var / "controller.lock", stop)) is None:
            return
        held.enter_context(lock)
        standby = Standby.of(own_name(config, "controller"), config.controller, follower.answering_since_s)
        follower.note_attestations(standby.note)
        follower.start()
        held.callback(follower.close)
        _work(config, follower, standby, stop)


def _work(config: Config, follower: Follower, standby: Standby, stop: threading.Event) -> None:
    from serving.rollout.approvals import ApprovalRule
    from serving.rollout.controller import Controller

    trees, policy = config.kept.trees(LOOK_S), config.policy
    approval = ApprovalRule(policy.people, policy.approval_timeout_s)
    name, tracer = process_name("controller"), tracer_of(config, "controller")
    settings = engine_settings(config)
    rollouts = Controller(config.kafka, settings, follower, name, trees, policy.trial, approval, tracer)
    keep_tidy(trees, config.storage.cache_gb, stop)
    thread = threading.Thread(target=rollouts.run, args=(stop,), name="controller")
    thread.start()
    try:
        asyncio.run(_reconcile(config, follower, standby, stop))
    finally:
        stop.set()
        thread.join(DRAIN_S)
        if tracer is not None:
            tracer.close()


async def _reconcile(config: Config, follower: Follower, standby: Standby, stopped: threading.Event) -> None:
    from deploy.stack.base_models import base_model_ids
    from deploy.stack.engines import accesses
    from serving.replica import engine
    from serving.replica.reconciler import Reconciler
    from serving.settings import Replica
    from streams.log.append import Writer

    stop = stopped_by_signals()
    if stopped.is_set():  # before this loop took the signals over
        return
    if config.replicas:
        await stop.wait()
        return
    settings, trees = engine_settings(config), config.kept.trees()
    base, former = await asyncio.to_thread(base_model_ids, config.stack)
    await asyncio.to_thread(follower.wait_for_attestations, CAUGHT_UP_S)
    async with AsyncExitStack() as held, asyncio.TaskGroup() as tasks:
        session = await held.enter_async_context(engine.session())
        for name, access in accesses(config).items():
            writer = Writer(config.kafka, f"reconciler/{name}")
            held.callback(writer.close)
            reconciler = Reconciler(
                settings,
                Replica(name, access.address),
                engine.VllmAdmin(session, access.address, access=access),
                follower.table,
                writer.append,
                trees,
                base,
                former,
                seen=partial(_seen, access, trees.home / ADAPTERS),
                standby=standby,
            )
            follower.listen(reconciler.wake)
            tasks.create_task(reconciler.run(stop))


def _seen(access: EngineAccess, root: Path, folder: Path) -> Path:
    return access.seen(folder, root)


def engine_settings(config: Config) -> ControllerSettings:
    """Return how engines are looked after: their room for adapters is set in one place, where they are started."""
    return replace(config.controller, max_loras=config.stack.max_loras, max_lora_rank=config.stack.max_lora_rank)
