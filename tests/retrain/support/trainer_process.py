"""A trainer as a process: `python -m tests.retrain.support.trainer_process BOOTSTRAP MODEL VAR ENGINE RECIPE`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from retrain.job_files import TrainerPaths
from retrain.settings import RetrainSettings
from retrain.trainer import Trainer
from streams.log.settings import KafkaSettings


def main() -> None:
    bootstrap, model, var, engine, recipe = sys.argv[1:]
    place = TrainerPaths(model_dir=Path(model), var=Path(var), engine=engine)
    settings = RetrainSettings(recipe=recipe, lease_s=6.0, threads=1, min_gain=0.0)
    Trainer(KafkaSettings(bootstrap), settings, place, "trainer/test").run(threading.Event())


if __name__ == "__main__":
    main()
