"""A controller as a process: `python -m tests.serving.support.controller_process BOOTSTRAP SNAPSHOT`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from serving.rollout.controller import Controller
from serving.routes.follower import Follower
from serving.settings import ControllerSettings
from streams.log.settings import KafkaSettings
from tests.support.folder import in_folder

SETTINGS = ControllerSettings(canary_requests=6, poll_s=0.02, max_loras=1_000)  # other tests have aliases too


def main() -> None:
    bootstrap, snapshot = sys.argv[1:]
    kafka = KafkaSettings(bootstrap)
    follower = Follower(kafka, Path(snapshot))
    follower.start()
    trees = in_folder(Path(snapshot).parent)
    Controller(kafka, SETTINGS, follower, "controller/process", trees).run(threading.Event())


if __name__ == "__main__":
    main()
