"""A process that runs one job by the local runner: `python -m tests.retrain.support.runner_process SPEC`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from retrain.job_files import JobSpec, read
from retrain.runners.local import LocalRunner


def main() -> None:
    spec = read(Path(sys.argv[1]), JobSpec)
    assert spec is not None
    runner = LocalRunner(spec.var)
    runner.start(spec)
    while runner.poll(spec.request.id).running:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
