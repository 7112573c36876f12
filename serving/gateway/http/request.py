"""One HTTP request as the gateway sees it, and the answer to it."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Protocol

from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError

Header = tuple[bytes, bytes]

NOBODY = Key("", "")
JSON: Header = (b"content-type", b"application/json")
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Client(Protocol):
    """The connection that a request came on."""

    def write(self, data: bytes) -> None:
        """Never blocks; nothing happens once the client is gone."""

    async def drained(self) -> None:
        """Returns once the client has taken most of what was written."""

    def ended(self, *, keep_alive: bool) -> None:
        """The answer is written whole."""

    def abort(self) -> None:
        """The answer will never be whole."""


class Request:
    """`headers` in lower case, the last of a name counts. `body` is whole once a handler sees the request."""

    __slots__ = (
        "_chunked",
        "_client",
        "_unsent",
        "body",
        "done",
        "expects",
        "gone",
        "headers",
        "keep_alive",
        "key",
        "method",
        "path",
        "refusal",
        "started",
        "target",
    )

    def __init__(
        self, client: Client, method: str, target: str, headers: dict[str, str], version: str, keep_alive: bool
    ) -> None:
        self._client = client
        self.method, self.target, self.headers = method, target, headers
        self.path = target.partition("?")[0]
        if len(self.path) > 1:
            self.path = self.path.rstrip("/") or "/"
        self.keep_alive = keep_alive
        self.body = b""
        self.started = self.done = False  # the client was told a status; everything
        self.gone = False  # the client hung up before it had everything
        self.refusal: ApiError | None = None  # known before the body is there
        self.key = NOBODY  # whose request it is, once it is admitted
        self._chunked = version == "1.1"
        self.expects = self._chunked and headers.get("expect", "").lower() == "100-continue"
        self._unsent = b""

    def answer(self, status: int, data: bytes, headers: Iterable[Header] = (JSON,)) -> None:
        """A whole response, in one write; its head alone where only that was asked for."""
        self.started = self.done = True
        response = whole(status, data, headers, keep_alive=self.keep_alive)
        self._client.write(response[: len(response) - len(data)] if self.method == "HEAD" else response)
        self._client.ended(keep_alive=self.keep_alive)

    def fail(self, error: ApiError) -> None:
        """The error as a whole response."""
        self.answer(error.status, error.body(), _told(error))

    def start(self, status: int, headers: Iterable[Header], *, at_once: bool = True) -> None:
        """The head of a response whose chunks follow; clients of HTTP/1.0 see its end by the connection's. Not
        `at_once`: with the first chunk, which is known to be there."""
        self.started = True
        self.keep_alive = self.keep_alive and self._chunked
        framing = [(b"transfer-encoding", b"chunked")] if self._chunked else []
        head = _head(status, [*headers, *framing], self.keep_alive)
        if at_once:
            self._client.write(head)
        else:
            self._unsent = head

    async def chunk(self, data: bytes) -> None:
        """Returns at once unless the client is slow; `data` must not be empty."""
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data
        self._client.write(self._unsent + framed)
        self._unsent = b""
        await self._client.drained()

    def end(self, data: bytes = b"") -> None:
        """The last chunk."""
        self.done = True
        if self._chunked:
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if data else b"0\r\n\r\n"
        self._client.write(self._unsent + data)
        self._client.ended(keep_alive=self.keep_alive)

    def abandon(self) -> None:
        """Ends the connection: what was begun cannot be ended."""
        self._client.abort()


def whole(status: int, data: bytes, headers: Iterable[Header], *, keep_alive: bool) -> bytes:
    """A response as it goes over the wire."""
    return _head(status, [*headers, (b"content-length", b"%d" % len(data))], keep_alive) + data


def failure(error: ApiError, *, keep_alive: bool) -> bytes:
    """An error as it goes over the wire."""
    return whole(error.status, error.body(), _told(error), keep_alive=keep_alive)


def _told(error: ApiError) -> list[Header]:
    return [JSON, *((name.encode(), value.encode("latin-1")) for name, value in error.headers.items())]


def _head(status: int, headers: Iterable[Header], keep_alive: bool) -> bytes:
    lines = [STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    lines += [b"%b: %b\r\n" % header for header in headers]
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)
