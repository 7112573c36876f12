"""The storage's care, again and again."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.process import lock_when_free, thread_stopped_by_signals


def storage(config: Config) -> None:
    """Keep what is stored in order until SIGTERM or SIGINT; a second process of the same folder waits for the first to
    end. What is under way at a signal may be broken off: it is done the next time."""
    stop = thread_stopped_by_signals()
    with ExitStack() as held:
        looks = [held.enter_context(health.store_watched(config)), health.disk_lacking(config)]
        held.enter_context(health.answering(config, config.stack.storage_metrics_port, health.first(looks)))
        if (lock := lock_when_free(config.stack.var / "care.lock", stop)) is not None:
            held.enter_context(lock)
            _care(config, stop)


def _care(config: Config, stop: threading.Event) -> None:
    from deploy.operator.care import Care, parts
    from streams.log.fitness.role import watch_role

    watch_role(config.kafka, "storage")
    care = Care(parts(config))
    while not stop.is_set():
        for _ in care.turn(time.monotonic()):
            if stop.is_set():
                return
        stop.wait(config.storage.care_s)
