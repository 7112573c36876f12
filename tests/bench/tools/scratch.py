"""A folder for one measurement; what its processes logged stays behind in `var/bench/log`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOGS = Path("var/bench/log")


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Empty at first, gone afterwards; the logs of an earlier run of that name are replaced."""
    with tempfile.TemporaryDirectory(prefix="homeostat-bench-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        finally:
            shutil.rmtree(LOGS / name, ignore_errors=True)
            if (Path(folder) / "log").is_dir():
                shutil.copytree(Path(folder) / "log", LOGS / name)
