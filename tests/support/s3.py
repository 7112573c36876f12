"""S3's interface on a free port of this machine: moto's server, which puts its puts in a row, counts what is asked, and
answers with errors on demand."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from streams.objects.settings import StorageSettings

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

BUCKET = "homeostat"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
IMPATIENT = {"max_retries": "1", "retry_timeout": "2s", "timeout": "3s"}
Watcher = Callable[[str, str], None]
App = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]


def nothing(method: str, path: str) -> None:
    """Watch nothing."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of S3 that is an error: its status, code and message."""

    status: str
    code: str
    message: str

    def answer(self, start: StartResponse) -> list[bytes]:
        body = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>".encode()
        start(self.status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [body]


SLOW_DOWN = Refusal("503 Slow Down", "SlowDown", "Please reduce your request rate.")
EXPIRED = Refusal("400 Bad Request", "ExpiredToken", "The provided token has expired.")
DENIED = Refusal("403 Forbidden", "AccessDenied", "Access Denied")


@dataclass(slots=True)
class S3:
    """A running server. `refusals`: the answers to the next requests; `for_ever` answers all that come."""

    app: App
    url: str = ""
    asked: list[str] = field(default_factory=list)  # "GET /bucket/key"
    refusals: list[Refusal | None] = field(default_factory=list)  # None: a true answer
    for_ever: Refusal | None = None
    mute_s: list[float] = field(default_factory=list)  # how long the next requests wait
    lost_answers: int = 0  # puts that are carried out and answered with an error
    before: Watcher = nothing  # called with each request's method and path before it is carried out
    after: Watcher = nothing  # and before its answer goes out
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append(f"{method} {path}")
        self.before(method, path)
        if self.mute_s:
            time.sleep(self.mute_s.pop(0))
        with self._lock:  # moto looks and writes in two steps; S3 does in one
            if refusal := self.refusals.pop(0) if self.refusals else self.for_ever:
                self.refused += 1
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                return refusal.answer(start)
            if self.lost_answers and method == "PUT":
                self.lost_answers -= 1
                list(self.app(environ, lambda *_: bytes))
                return SLOW_DOWN.answer(start)
            answer = list(self.app(environ, start))
        self.after(method, path)
        return answer

    @property
    def options(self) -> dict[str, str]:
        """Options of the lake's client for this server; it gives up soon."""
        return self._own | IMPATIENT

    @property
    def _own(self) -> dict[str, str]:
        return {"endpoint": self.url, "region": "us-east-1", "allow_http": "true"}

    def reset(self) -> None:
        """Answer as a plain server again."""
        self.asked.clear()
        self.refusals.clear()
        self.mute_s.clear()
        self.for_ever, self.lost_answers, self.refused = None, 0, 0
        self.before = self.after = nothing

    def kill_at_second(
        self, when: Literal["before", "after"], wanted: Callable[[str, str], bool], process: subprocess.Popen[bytes]
    ) -> None:
        """Kill the process at its second request of this kind: before that is carried out, or after it; its answer
        never comes."""
        seen: list[str] = []

        def kill(method: str, path: str) -> None:
            if wanted(method, path):
                seen.append(path)
                if len(seen) == 2:
                    process.kill()
                    process.wait()
                    self.refusals += [SLOW_DOWN] if when == "before" else []

        setattr(self, when, kill)

    def storage(self, prefix: str, bucket: str = BUCKET, **options: str) -> StorageSettings:
        """Settings of a prefix of a test's own."""
        return StorageSettings(url=f"s3://{bucket}/{prefix}", options=self._own | options)

    def requests(self, method: str, part: str = "") -> list[str]:
        """What was asked by this method for paths with this part."""
        return [each for each in self.asked if each.startswith(f"{method} ") and part in each]


def listening(host: str, port: int) -> tuple[S3, BaseWSGIServer]:
    """A server without a bucket, and what serves it."""
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    s3 = S3(create_backend_app("s3"))  # moto's own door asks all of its services at each request, half of the time
    return s3, make_server(host, port, s3, threaded=True)


@contextmanager
def server() -> Iterator[S3]:
    """A server with one empty bucket."""
    s3, listener = listening("127.0.0.1", 0)
    s3.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        _create(s3.url)
        yield s3
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _create(url: str) -> None:
    from urllib.request import Request, urlopen

    with urlopen(Request(f"{url}/{BUCKET}", method="PUT")) as answer:
        assert answer.status == 200


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One server a session; tests share it: use prefixes of your own."""
    with server() as running:
        yield running


@pytest.fixture
def s3(s3_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    """The server without faults, and its keys in the environment."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    s3_server.reset()
    return s3_server


def is_commit(method: str, path: str) -> bool:
    """Return whether a request writes a version of a table.

    >>> is_commit("PUT", "/bucket/a/replies/_delta_log/00000000000000000001.json"), is_commit("GET", "/bucket/a")
    (True, False)
    """
    return method == "PUT" and re.search(r"_delta_log/\d{20}\.json$", path) is not None


if __name__ == "__main__":  # in a container of its own: `python -m tests.support.s3 PORT`
    listening("0.0.0.0", int(sys.argv[1]))[1].serve_forever()
