"""A role's port for probes and Prometheus: /healthz (alive), /readyz (connected to what it needs), /metrics."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import structlog
from prometheus_client import make_wsgi_app

from deploy.config.settings import Config
from streams.files import probed
from streams.log.availability import Presence
from streams.objects.store import ObjectStore

log = structlog.get_logger()

Lacking = Callable[[], str]  # what is lacking; empty where nothing is
StartResponse = Callable[..., Any]
Page = Callable[[], tuple[str, str, bytes]]  # a status, a type of content, and the content

STORE_EVERY_S, STORE_PATIENCE_S = 15.0, 5.0
OK, AWAY, TEXT = "200 OK", "503 Service Unavailable", "text/plain; charset=utf-8"
NO_PAGES: Mapping[str, Page] = {}
MARK = "adapters"  # a prefix that every store has, or will have
KEPT_BACK = 16 * 1_048_576  # bytes that must be free for a role to be ready


class StoreWatch:
    """Asks the store now and then, on a thread of its own, whether it answers."""

    def __init__(self, store: ObjectStore, every_s: float = STORE_EVERY_S) -> None:
        self._store, self._every_s, self._stop = store, every_s, threading.Event()
        self._problem = "storage was not asked yet"
        self._thread = threading.Thread(target=self._watch, name="store watch", daemon=True)
        self._thread.start()

    def lacking(self) -> str:
        """Return what is wrong with the store; empty where it answers."""
        return self._problem

    def close(self) -> None:
        """Stop asking; a question under way is not waited for."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._problem = _asked(self._store)
            self._stop.wait(self._every_s if not self._problem else self._every_s / 5)


@contextmanager
def store_watched(config: Config) -> Iterator[Lacking]:
    """Watch the configuration's store while entered."""
    watch = StoreWatch(config.kept.objects(STORE_PATIENCE_S))
    try:
        yield watch.lacking
    finally:
        watch.close()


def kafka_lacking(config: Config, presence: Presence) -> Lacking:
    """Return a look at whether Kafka answers."""
    return lambda: "" if presence.connected else f"Kafka at {config.kafka.bootstrap} does not answer"


def disk_lacking(config: Config) -> Lacking:
    """Return a look at whether stack.var can be written, and has room."""

    def look() -> str:
        problem = probed(config.stack.var, KEPT_BACK)
        return f"stack.var: {problem}" if problem else ""

    return look


def first(looks: Iterable[Lacking]) -> Lacking:
    """Return one look for several, which says all that is lacking."""
    found = list(looks)
    return lambda: "; ".join(each for look in found if (each := look()))


@contextmanager
def answering(config: Config, port: int, lacking: Lacking, pages: Mapping[str, Page] = NO_PAGES) -> Iterator[None]:
    """Answer probes and Prometheus at `stack.bind` while entered; `pages`: what else is there, by path. Raise OSError
    naming the port where it is taken."""
    stack = config.stack
    try:
        server = make_server(stack.bind, port, _application(lacking, pages), _server_of(stack.bind), _Quiet)
    except OSError as error:
        raise OSError(error.errno, f"port {port} on stack.bind {stack.bind}: {error.strerror}") from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True, name="probes")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _application(
    lacking: Lacking, pages: Mapping[str, Page]
) -> Callable[[dict[str, Any], StartResponse], Iterable[bytes]]:
    metrics = make_wsgi_app()
    began = time.monotonic()

    def application(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO"))
        if path == "/healthz":
            return _text(start, OK, f"alive for {time.monotonic() - began:.0f} s")
        if path == "/readyz":
            problem = lacking()
            return _text(start, AWAY if problem else OK, problem or "ready")
        if path in pages:
            status, kind, content = pages[path]()
            start(status, [("Content-Type", kind)])
            return [content]
        return metrics(environ, start)  # type: ignore[no-any-return]

    return application


def _text(start: StartResponse, status: str, text: str) -> list[bytes]:
    start(status, [("Content-Type", TEXT)])
    return [f"{text}\n".encode()]


def _asked(store: ObjectStore) -> str:
    try:
        store.holds(f"{MARK}/none")
    except (OSError, ValueError) as error:
        return f"storage: {error}"
    return ""


def _server_of(address: str) -> type[WSGIServer]:
    class Server(ThreadingMixIn, WSGIServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        daemon_threads = True

    return Server


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: probes come every few seconds."""
