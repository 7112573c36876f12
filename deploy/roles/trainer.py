"""The trainer: retrainings, one at a time."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import IO

from deploy.config.settings import Config
from deploy.roles.process import thread_stopped_by_signals
from deploy.stack.ports import HOST
from streams.files import try_lock

LOOK_AGAIN_S = 0.5


def trainer(config: Config) -> None:
    """Run retrainings until SIGTERM or SIGINT; a second trainer of the same folder waits for the first to end."""
    from prometheus_client import start_http_server

    from deploy.stack.lifecycle import model_folder
    from retrain.trainer import Trainer, TrainerPaths
    from streams.objects.cache import keep_tidy
    from streams.scoring.judges import ReplyJudges
    from streams.scoring.scorer import Scorers

    stack, stop = config.stack, thread_stopped_by_signals()
    Scorers(config.scoring, stack.var)  # a wrong metric is noticed now, not after the first training
    ReplyJudges(config.scoring, stack.var)  # a wrong judge too
    start_http_server(stack.trainer_metrics_port, addr=HOST)
    paths = TrainerPaths(
        model_dir=model_folder(stack),
        var=stack.var,
        engine=next(iter(stack.engine_urls().values())),
        storage=config.storage,
        scoring=config.scoring,
        label_wait_s=config.labels.wait_s,
        judge_may_promote=config.policy.judge_may_promote,
    )
    keep_tidy(config.kept.trees(), config.storage.cache_gb, stop)
    if (lock := lock_when_free(stack.var / "trainer.lock", stop)) is not None:
        with lock:
            Trainer(config.kafka, config.retrain, paths, f"trainer/{socket.gethostname()}").run(stop)


def lock_when_free(path: Path, stop: threading.Event) -> IO[bytes] | None:
    """Wait until no other process holds the lock; return it, or None where `stop` came first."""
    while (lock := try_lock(path)) is None:
        if stop.wait(LOOK_AGAIN_S):
            return None
    return lock
