"""Is a broker there? Asked before a command needs one: Kafka's own clients try for half a minute, and then say that
they timed out.

Whoever answers the first question that a client may ask (ApiVersions, before any password) is a broker that works."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from streams.log.availability import speaks_kafka
from streams.log.settings import KafkaSettings

ANSWER_S = 1.2
CONNECT_MS = 3_000  # of the clients that are made then
REMEDY = "start it with `homeostat up`, or set kafka.bootstrap to brokers that run"


class KafkaAway(OSError):
    """No broker answers; the message is one line that says which, why, and what to do."""


def reached(kafka: KafkaSettings, wait_s: float = ANSWER_S) -> KafkaSettings:
    """Returns settings for clients that do not try for long, once a broker answers. Raises KafkaAway."""
    servers = [server.strip() for server in kafka.bootstrap.split(",") if server.strip()]
    told: queue.Queue[str] = queue.Queue()
    secured = str(kafka.options.get("security_protocol", "")).endswith("SSL")
    for server in servers:
        threading.Thread(target=_told, args=(server, secured, wait_s, told.put), daemon=True).start()
    why = _first(told, len(servers), wait_s)
    if why:
        raise KafkaAway(f"Kafka at {kafka.bootstrap} {why}: {REMEDY}")
    return replace(kafka, options={"bootstrap_timeout_ms": CONNECT_MS, **kafka.options})


def _first(told: queue.Queue[str], servers: int, wait_s: float) -> str:
    """Empty as soon as one server answered, else why none did."""
    why, deadline = "has no address", time.monotonic() + wait_s
    for _ in range(servers):
        try:
            why = told.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return f"does not answer within {wait_s:g} s"
        if not why:
            return ""
    return why


def _told(server: str, secured: bool, wait_s: float, tell: Callable[[str], None]) -> None:
    """Tells why a server cannot be used; nothing where it answers."""
    try:
        tell("" if speaks_kafka(server, secured, wait_s) else "hangs up without an answer")
    except ssl.SSLError:  # somebody is there; what it wants is for the client to show that is made then
        tell("")
    except TimeoutError:
        tell(f"does not answer within {wait_s:g} s")
    except (OSError, ValueError) as error:
        tell(f"cannot be reached ({getattr(error, 'strerror', None) or error})")
