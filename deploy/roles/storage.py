"""The storage's care, again and again."""

from __future__ import annotations

import time

from deploy.config.settings import Config
from deploy.roles.process import thread_stopped_by_signals
from deploy.roles.trainer import lock_when_free
from deploy.stack.ports import HOST


def storage(config: Config) -> None:
    """Keep what is stored in order until SIGTERM or SIGINT; a second process of the same folder waits for the first to
    end. What is under way at a signal may be broken off: it is done the next time."""
    from prometheus_client import start_http_server

    from deploy.operator.care import Care, parts

    stop = thread_stopped_by_signals()
    start_http_server(config.stack.storage_metrics_port, addr=HOST)
    if (lock := lock_when_free(config.stack.var / "care.lock", stop)) is None:
        return
    with lock:
        care = Care(parts(config))
        while not stop.is_set():
            for _ in care.turn(time.monotonic()):
                if stop.is_set():
                    return
            stop.wait(config.storage.care_s)
