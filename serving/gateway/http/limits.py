"""The limits: how much a client may send, hold and leave unread, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds on each client and on all together. Times in seconds."""

    head_bytes: int = 16_384  # also of a body's framing: extensions of chunks, trailers
    body_bytes: int = 1_048_576
    bodies_bytes: int = 268_435_456  # of all requests under way
    bodies_bytes_per_key: int = 67_108_864
    head_s: float = 10.0  # for a whole head
    body_s: float = 30.0  # and a whole body
    write_s: float = 30.0  # in which a client takes nothing of what waits for it
    idle_s: float = 75.0  # between two requests
    connections: int = 10_000
    connections_per_address: int = 2_500
