"""One mirroring: `python -m retrain.registry`, an order as JSON on the standard input, approvals as JSON on the output.

It is a process of its own: MLflow's libraries and its patience are not the trainer's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import structlog

from retrain.registry.mirror import mirrored
from retrain.registry.versions import MirrorOrder
from retrain.training.tracking import client_of, shown

POLITE = 10  # of the processor: engines go before


def main() -> int:
    """Mirror what is ordered; return 0, or 1 with a line that says what MLflow raised."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.nice(POLITE)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=MirrorOrder)
    try:
        found = mirrored(client_of(Path(order.store)), order)
    except Exception as error:  # the process's top: MLflow raises whatever its store, server and libraries raise
        print(shown(error), file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
