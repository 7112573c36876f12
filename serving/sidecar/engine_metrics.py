"""The engine's own metrics at its side-car's port: nothing else reaches an engine that listens in its pod alone."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable

from streams.engine_access import EngineAccess

PATH = "/engine/metrics"
THERE = "/metrics"
ANSWER_S = 3.0
TEXT = "text/plain; charset=utf-8"


def engine_metrics(access: EngineAccess) -> Callable[[], tuple[str, str, bytes]]:
    """Return what gives status, type and content of the page that the engine shows Prometheus; a 503 with the reason
    where it shows none."""

    def page() -> tuple[str, str, bytes]:
        try:
            request = urllib.request.Request(access.address + THERE, headers=access.headers())  # noqa: S310
            with urllib.request.urlopen(request, timeout=ANSWER_S, context=access.tls()) as answer:  # noqa: S310
                return "200 OK", answer.headers.get("Content-Type", TEXT), answer.read()
        except (OSError, ValueError) as error:
            return (
                "503 Service Unavailable",
                TEXT,
                f"the engine's metrics: {getattr(error, 'reason', error)}\n".encode(),
            )

    return page
