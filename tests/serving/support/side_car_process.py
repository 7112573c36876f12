"""`homeostat run replica` on a machine whose clock is wrong.

python -m tests.serving.support.side_car_process SECONDS CONFIG
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def main(off_s: float, config: Path) -> None:
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + off_s
    time.time_ns = lambda: nanoseconds() + int(off_s * 1e9)
    from deploy.config.settings import load
    from deploy.roles.run import run

    run("replica", load(config), config)


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]))
