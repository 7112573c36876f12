"""Keeps a program for the process that started it: `python -m retrain.evaluation.engine.keeper COMMAND...`.

The program ends when the starter's end of our standard input is closed, however the starter ended, or on SIGTERM."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0  # after SIGTERM


def main(command: list[str]) -> int:
    """Run the command until it ends or its starter does; return its exit status."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    threading.Thread(target=_end_with_starter, args=(process,), daemon=True).start()
    return process.wait()


def _end_with_starter(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):  # not by Python's own reader, whose lock a thread would keep at the end
        pass
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
