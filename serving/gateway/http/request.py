"""One HTTP request as the gateway sees it, and the answer to it, over ASGI."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, MutableMapping
from typing import Any

from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError
from streams.telemetry.spans import Trace

Header = tuple[bytes, bytes]
Message = MutableMapping[str, Any]
Send = Callable[[Message], Coroutine[Any, Any, None]]

NO_KEY = Key("", "")
JSON: Header = (b"content-type", b"application/json")
HANG_UP = "homeostat.hang_up"  # in the scope: the function that the server calls when the client is gone
CLOSE: Header = (b"connection", b"close")


class Request:
    """`headers` in lower case, the last of a name counts. `body` is whole once a handler sees the request."""

    __slots__ = (
        "_head",
        "_send",
        "_unsent",
        "alias",
        "began_ns",
        "body",
        "done",
        "extra",
        "gone",
        "headers",
        "keep_alive",
        "key",
        "method",
        "path",
        "peer",
        "query",
        "sent",
        "started",
        "status",
        "target",
        "trace",
        "version",
    )

    def __init__(self, scope: Message, send: Send) -> None:
        self._send = send
        self.method: str = scope["method"]
        self.peer: str = (scope.get("client") or ("",))[0]
        self.target: bytes = scope["raw_path"]  # as it came: nothing is decoded
        self.query: bytes = scope["query_string"]
        self.path = self.target.decode("latin-1")
        if len(self.path) > 1:
            self.path = self.path.rstrip("/") or "/"
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.body = b""
        self.keep_alive = True
        self.started = self.done = False  # the client has a status; everything
        self.gone = False  # the client hung up before it had everything
        self.key = NO_KEY  # whose request it is, once it is admitted
        self.extra: list[Header] = []  # of its answer, be that an error or not
        # for the observer, where there is one: the answer's status and bytes, what it is about, and the trace
        self.status = self.sent = self.began_ns = 0
        self.alias = self.version = ""
        self.trace: Trace | None = None
        self._head: Message | None = None  # waits for the first chunk
        self._unsent: list[Message] = []

    def answer(self, status: int, data: bytes, headers: Iterable[Header] = (JSON,)) -> None:
        """Send a whole response; its head alone where only that was asked for."""
        self.started = self.done = True
        self.sent += len(data)
        self._push(self._opening(status, [*headers, (b"content-length", b"%d" % len(data))]))
        self._push({"type": "http.response.body", "body": data})

    def fail(self, error: ApiError) -> None:
        """Send the error as a whole response."""
        self.answer(error.status, error.body(), fields(error))

    def start(self, status: int, headers: Iterable[Header], *, at_once: bool = True) -> None:
        """Send the head of a response whose chunks follow. Not `at_once`: with the first chunk, which is known to be
        there."""
        self.started = True
        self._head = self._opening(status, headers)
        if at_once:
            self._begin()

    async def chunk(self, data: bytes) -> None:
        """Send a piece; return at once unless the client is slow. `data` must not be empty."""
        self._begin()
        self.sent += len(data)
        await self.flush()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        """Send the last chunk."""
        self._begin()
        self.done = True
        self.sent += len(data)
        self._push({"type": "http.response.body", "body": data})

    async def flush(self) -> None:
        """Send what a slow client had no room for."""
        while self._unsent:
            await self._send(self._unsent[0])
            del self._unsent[0]

    def _begin(self) -> None:
        head, self._head = self._head, None
        if head is not None:
            self._push(head)

    def _push(self, message: Message) -> None:
        """Send at once what the client has room for. uvicorn's `send` does its work in one step, unless it waits for a
        slow client first: then it is taken back, and `flush` sends the message."""
        if not self._unsent:
            sending = self._send(message)
            try:
                sending.send(None)
            except StopIteration:
                return
            sending.close()
        self._unsent.append(message)

    def _opening(self, status: int, headers: Iterable[Header]) -> Message:
        self.status = status
        lines = [*headers, *self.extra] if self.keep_alive else [*headers, *self.extra, CLOSE]
        return {"type": "http.response.start", "status": status, "headers": lines}


def fields(error: ApiError) -> list[Header]:
    """Return the headers of an error's response."""
    return [JSON, *((name.encode(), value.encode("latin-1")) for name, value in error.headers.items())]
