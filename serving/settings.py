"""What the operator decides about serving and rolling out; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from monitor.metrics import METRICS
from serving.masking import PATTERNS

TAG_HEADERS = {
    "x-homeostat-tenant": "tenant",
    "x-homeostat-language": "language",
    "x-homeostat-group": "group",
}


@dataclass(frozen=True, slots=True)
class Replica:
    """One engine: its name in attestations, and its address."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How clients are served and what is kept of it."""

    host: str = "127.0.0.1"
    keys_file: Path | None = None  # API keys (see `serving.keys`), beside the one that `homeostat up` makes
    body_limit_bytes: int = 1_048_576
    timeout_s: float = 120.0  # for a whole answer; of a stream, between two chunks
    connect_timeout_s: float = 2.0
    avoid_s: float = 1.0  # a replica that could not be reached is asked last for so long
    tag_headers: dict[str, str] = field(default_factory=lambda: dict(TAG_HEADERS))  # header -> tag in the event
    metrics: dict[str, str] = field(default_factory=dict)  # alias -> how a label judges its answers; exact_match
    mask: tuple[str, ...] = tuple(PATTERNS)  # what never leaves the process in an event
    recent_answers: int = 10_000  # kept in memory, to judge labels that a digest cannot
    queue_events: int = 20_000  # waiting for Kafka in memory
    spool_bytes: int = 256 * 1_048_576  # and, while Kafka is away, on disk

    def __post_init__(self) -> None:
        for name in ("body_limit_bytes", "queue_events", "spool_bytes"):
            _require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("timeout_s", "connect_timeout_s"):
            _require(self, name, getattr(self, name) > 0, "a positive number of seconds")
        _require(self, "avoid_s", self.avoid_s >= 0, "0 or more seconds")
        _require(self, "recent_answers", self.recent_answers >= 0, "0 or more")
        known = ", ".join(METRICS)
        _require(self, "metrics", all(m in METRICS for m in self.metrics.values()), f"metrics among {known}")
        _require(self, "mask", all(kind in PATTERNS for kind in self.mask), f"kinds among {', '.join(PATTERNS)}")
        lower = all(header == header.lower() for header in self.tag_headers)
        _require(self, "tag_headers", lower, "header names in lower case")


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """How a candidate becomes the champion, and what makes it step back."""

    canary_weight: float = 0.5  # its share of the requests
    canary_requests: int = 40  # replies it must give before it may be promoted
    loading_timeout_s: float = 120.0
    canary_timeout_s: float = 900.0
    guard_delta: float = 0.05  # points of errors, slow or wrong answers that it may be worse by
    guard_alpha: float = 0.01  # chance that a harmless one is ever called harmful
    guard_watch_s: float = 600.0  # after its promotion
    latency_slo_ms: float = 30_000.0  # slower counts against it
    poll_s: float = 0.5
    attest_every_s: float = 5.0
    drain_s: float = 5.0  # from the last route that wants a version to its unloading
    max_loras: int = 4  # slots of each engine

    def __post_init__(self) -> None:
        _require(self, "canary_weight", 0 < self.canary_weight < 1, "a share between 0 and 1")
        _require(self, "canary_requests", self.canary_requests >= 1, "at least 1")
        _require(self, "guard_delta", 0 <= self.guard_delta < 1, "a share from 0 to below 1")
        _require(self, "guard_alpha", 0 < self.guard_alpha < 1, "a share between 0 and 1")
        for name in ("loading_timeout_s", "canary_timeout_s", "latency_slo_ms", "poll_s", "attest_every_s"):
            _require(self, name, getattr(self, name) > 0, "a positive number")
        for name in ("guard_watch_s", "drain_s"):
            _require(self, name, getattr(self, name) >= 0, "0 or more seconds")
        _require(self, "max_loras", self.max_loras >= 1, "at least 1")


def _require(owner: object, name: str, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{type(owner).__name__}.{name} is {getattr(owner, name)!r}, expected {expected}")
