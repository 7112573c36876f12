"""Does Kafka answer? Its clients hold on to a broker that is gone for half a minute and report nothing meanwhile, so
this is asked apart from them.

A server that answers the first request that a client may send (ApiVersions, before any password) is a working
broker."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from typing import Self

from prometheus_client import Gauge

from streams.log.settings import KafkaSettings

CONNECTED = Gauge("homeostat_kafka_connected", "1 where Kafka answers this client, 0 where it does not.", ["client"])
ANSWER_S = 2.0
EVERY_S = 5.0
HEAD, LONGEST = 8, 1 << 20  # bytes of an answer's begin, and of the longest one to it
ASKED = struct.pack(">hhih", 18, 0, 1, -1)  # ApiVersions, version 0, number 1, no client id


class Presence:
    """Asks on a thread of its own; `answers` is cheap. `client`: whose metric it is; `well`: whether that client has no
    trouble of its own with the topics that it reads or writes."""

    def __init__(
        self, kafka: KafkaSettings, client: str, well: Callable[[], bool] = lambda: True, every_s: float = EVERY_S
    ) -> None:
        self._kafka, self._client, self._well, self._every_s = kafka, client, well, every_s
        self.answers, self.since_s = False, float("inf")  # since when, by the clock that only goes forward
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        CONNECTED.labels(self._client).set_function(lambda: float(self.connected))
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Return whether a broker answers and its client is well."""
        return self.answers and self._well()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * ANSWER_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._note(answers(self._kafka))
            self._stop.wait(self._every_s)

    def _note(self, answering: bool) -> None:
        if answering and not self.answers:
            self.since_s = time.monotonic()
        self.answers = answering


def answers(kafka: KafkaSettings, wait_s: float = ANSWER_S) -> bool:
    """Return whether one of the brokers answers within the time that each has."""
    return any(_answers(server, kafka.secured, wait_s) for server in kafka.servers)


def _answers(server: str, secured: bool, wait_s: float) -> bool:
    try:
        return speaks_kafka(server, secured, wait_s)
    except ssl.SSLError:  # a server is there; its demands are its clients' affair
        return True
    except (OSError, ValueError):
        return False


def speaks_kafka(server: str, secured: bool, wait_s: float) -> bool:
    """Return whether a server answers as a broker does, rather than hang up. Raise OSError, TimeoutError, ssl.SSLError;
    ValueError for an answer that no broker gives."""
    host, _, port = server.rpartition(":")
    plain = socket.create_connection((host.strip("[]"), int(port)), timeout=wait_s)
    with plain, _wrapped(plain, host) if secured else plain as connection:
        connection.sendall(struct.pack(">i", len(ASKED)) + ASKED)
        return _understood(_head(connection))


def _head(connection: socket.socket) -> bytes:
    """The answer's length and the number of its request; less where the server sends no more."""
    data = b""
    while len(data) < HEAD and (more := connection.recv(HEAD - len(data))):
        data += more
    return data


def _understood(head: bytes) -> bool:
    if not head:
        return False
    if len(head) < HEAD or head[4:] != ASKED[4:8] or not 6 <= int.from_bytes(head[:4]) <= LONGEST:
        raise ValueError("it answers, but not as Kafka does: another server, or one that wants TLS")
    return True


def _wrapped(plain: socket.socket, host: str) -> ssl.SSLSocket:
    """Its certificate is for the clients to check."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)
