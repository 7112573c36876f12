"""Lines on stderr, so that a long measurement is not mistaken for one that hangs."""

from __future__ import annotations

import sys
import time

BEGAN_S = time.monotonic()


def note(text: str) -> None:
    """One line, with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN_S:6.1f} s] {text}", file=sys.stderr, flush=True)
