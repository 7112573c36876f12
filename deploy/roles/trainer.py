"""The trainer: retrainings, one at a time."""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.config.settings import Config
from deploy.roles.process import thread_stopped_by_signals
from deploy.stack.ports import HOST


def trainer(config: Config) -> None:
    """Run retrainings until SIGTERM or SIGINT; a second trainer of the same folder waits for the first to end."""
    from prometheus_client import start_http_server

    from deploy.stack.lifecycle import model_folder
    from retrain.trainer import Trainer, TrainerPaths

    stack, stop = config.stack, thread_stopped_by_signals()
    start_http_server(stack.trainer_metrics_port, addr=HOST)
    place = TrainerPaths(
        model_dir=model_folder(stack),
        var=stack.var,
        engine=next(iter(stack.engine_urls().values())),
        metrics=config.gateway.metrics,
    )
    with _alone(stack.var / "trainer.lock"):
        Trainer(config.kafka, config.retrain, place, f"trainer/{socket.gethostname()}").run(stop)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
