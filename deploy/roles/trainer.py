"""The trainer: retrainings, one at a time."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.process import lock_when_free, own_name, thread_stopped_by_signals, tracer_of
from deploy.stack.engines import accesses

if TYPE_CHECKING:
    from deploy.stack.engine import Device
    from retrain.evaluation.engine.own import EngineOrder
    from retrain.runners.interface import Runner
    from retrain.settings import RetrainSettings


def trainer(config: Config) -> None:
    """Run retrainings until SIGTERM or SIGINT; of several trainers each takes requests that no other has. A second one
    of the same folder waits for the first to end."""
    from streams.log.availability import Presence
    from streams.log.fitness.role import watch_role
    from streams.scoring.judges import ReplyJudges
    from streams.scoring.scorer import Scorers

    stack, stop = config.stack, thread_stopped_by_signals()
    Scorers(config.scoring, stack.var)  # a wrong metric is noticed now, not after the first training
    ReplyJudges(config.scoring, stack.var)  # a wrong judge too
    credentials = config.tracking.credentials()
    os.environ.update({name: value for name, value in credentials.items() if name not in os.environ})
    watch_role(config.kafka, "trainer")
    with Presence(config.kafka, "trainer") as presence, health.store_watched(config) as stored:
        needed = health.first([stored, health.disk_lacking(config)])
        looks = [health.kafka_lacking(config, presence), needed]
        with health.answering(config, stack.trainer_metrics_port, health.first(looks)):
            if (lock := lock_when_free(stack.var / "trainer.lock", stop)) is not None:
                with lock:
                    _train(config, stop, needed)


def _train(config: Config, stop: threading.Event, lacking: health.Lacking) -> None:
    from deploy.stack.lifecycle import model_folder
    from retrain.job_files import TrainerPaths
    from retrain.trainer import Trainer
    from streams.objects.cache import keep_tidy

    engine = next(iter(accesses(config).values()))
    paths = TrainerPaths(
        model_dir=model_folder(config.stack),
        var=config.stack.var,
        engine=engine.address,
        engine_access=engine if config.engines else None,
        storage=config.storage,
        scoring=config.scoring,
        label_wait_s=config.labels.wait_s,
        judge_may_promote=config.policy.judge_may_promote,
        own_engine=engine_order(config),
        tracking=config.tracking,
        logs=config.logs.format,
    )
    keep_tidy(config.kept.trees(), config.storage.cache_gb, stop)
    me, tracer = own_name(config, "trainer"), tracer_of(config, "trainer")
    Trainer(config.kafka, asked_for(config), paths, me, runner(config, me), tracer, lacking).run(stop)
    if tracer is not None:
        tracer.close()


def asked_for(config: Config) -> RetrainSettings:
    """Return the settings of retrainings: none is asked for by the clock where only people act."""
    return replace(config.retrain, every_h=0.0) if config.policy.observes else config.retrain


def runner(config: Config, me: str) -> Runner:
    """Return what runs the jobs of this trainer."""
    from retrain.runners.local import LocalRunner

    if config.retrain.runner == "local":
        return LocalRunner(config.stack.var)
    from retrain.runners.kubernetes import KubernetesRunner

    return KubernetesRunner(config.retrain.kubernetes, me)


def jobs_device(config: Config) -> Device:
    """Return what the engine of a job computes on: looked for here where jobs run here. Those of a cluster have what
    their template gives them, a GPU unless `stack.device` says "cpu"; the trainer's own machine needs none."""
    from deploy.stack.engine import device

    if config.retrain.runner == "local":
        return device(config.stack.device)
    return "cpu" if config.stack.device == "cpu" else "cuda"


def engine_order(config: Config) -> EngineOrder | None:
    """Return how an engine is started that evaluations have for themselves; None where the settings want none."""
    from deploy.stack.engine import EngineProcess
    from deploy.stack.lifecycle import model_folder
    from retrain.evaluation.engine.own import PORT, EngineOrder
    from retrain.training.prompting import chat_template_for

    stack = config.stack
    if config.retrain.own_engine == "never":
        return None
    model, kind = model_folder(stack), jobs_device(config)
    engine = EngineProcess(model, 0, kind, replace(stack, max_loras=1), chat_template_for(model))
    command = list(engine.command())
    command[command.index("--port") + 1] = PORT
    return EngineOrder(
        command=command,
        environment=engine.environment(),
        on_gpu=kind == "cuda",
        always=config.retrain.own_engine == "always",
        timeout_s=stack.start_timeout_s,
    )
