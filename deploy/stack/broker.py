"""The check that a broker answers, made before a command needs one: Kafka's own clients try for half a minute, and then
report a timeout.

A server that answers the first request that a client may send (ApiVersions, before any password) is a broker."""

from __future__ import annotations

import queue
import ssl
import threading
import time
from collections.abc import Callable

from streams.log.availability import speaks_kafka
from streams.log.settings import HurriedKafka, KafkaSettings

ANSWER_S = 1.2
CONNECT_MS = 3_000  # of the clients that are made then
REMEDY = "`homeostat up` starts an embedded one; else see kafka.bootstrap"


class KafkaAway(OSError):
    """No broker answers; the message is one line that says which, why, and what to do."""


def reached(kafka: KafkaSettings, wait_s: float = ANSWER_S) -> KafkaSettings:
    """Return settings for clients that do not try for long, once a broker answers. Raise KafkaAway."""
    answers: queue.Queue[str] = queue.Queue()
    for server in kafka.servers:
        threading.Thread(target=_ask, args=(server, kafka.secured, wait_s, answers.put), daemon=True).start()
    why = _first(answers, len(kafka.servers), wait_s)
    if why:
        raise KafkaAway(f"Kafka at {kafka.bootstrap} {why}: {REMEDY}")
    return HurriedKafka.of(kafka, {"bootstrap_timeout_ms": CONNECT_MS})


def _first(answers: queue.Queue[str], servers: int, wait_s: float) -> str:
    """Return an empty text as soon as one server answered, else why none did."""
    why, deadline = "has no address", time.monotonic() + wait_s
    for _ in range(servers):
        try:
            why = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return f"does not answer within {wait_s:g} s"
        if not why:
            return ""
    return why


def _ask(server: str, secured: bool, wait_s: float, put: Callable[[str], None]) -> None:
    """Put the reason why a server cannot be used; an empty text where it answers."""
    try:
        put("" if speaks_kafka(server, secured, wait_s) else "hangs up without an answer")
    except ssl.SSLError:  # a server is there; its demands are for the client to show that is made then
        put("")
    except TimeoutError:
        put(f"does not answer within {wait_s:g} s")
    except (OSError, ValueError) as error:
        put(f"cannot be reached ({getattr(error, 'strerror', None) or error})")
