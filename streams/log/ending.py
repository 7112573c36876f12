"""Whether this process is to end: its clients then give up with the first try that fails, not after half a minute."""

from __future__ import annotations

import threading

ENDING = threading.Event()
