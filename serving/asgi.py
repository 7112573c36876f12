"""The little of ASGI that is needed: reading a body within a limit, sending, noticing that the client is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar

from serving.errors import ApiError

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Header = (b"content-type", b"application/json")


class ClientGone(Exception):
    """The client hung up."""


@dataclass(slots=True)
class Request:
    """One HTTP request; `headers` in lower case, the last of a name counts."""

    method: str
    path: str
    headers: dict[str, str]
    receive: Receive
    send: Send
    started: bool = False  # the client has been told a status

    @classmethod
    def of(cls, scope: Scope, receive: Receive, send: Send) -> Request:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return cls(scope["method"], scope["path"].rstrip("/") or "/", headers, receive, send)

    async def body(self, limit: int) -> bytes:
        """All of it; ApiError 413 as soon as it is known to be longer, ClientGone where it breaks off."""
        length = self.headers.get("content-length", "")
        if length.isdigit() and int(length) > limit:
            raise too_large(limit, f"{length} bytes")
        parts: list[bytes] = []
        total = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            total += len(parts[-1])
            if total > limit:
                raise too_large(limit, f"more than {limit} bytes")
            if not message.get("more_body", False):
                return b"".join(parts)

    async def start(self, status: int, headers: Iterable[Header]) -> None:
        self.started = True
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def chunk(self, data: bytes) -> None:
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self.send({"type": "http.response.body", "body": data})

    async def answer(self, status: int, data: bytes, headers: Iterable[Header] = (JSON,)) -> None:
        """A whole response."""
        await self.start(status, [*headers, (b"content-length", str(len(data)).encode())])
        await self.end(data)

    async def fail(self, error: ApiError) -> None:
        """The error as a whole response."""
        extra = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        await self.answer(error.status, error.body(), [JSON, *extra])


async def while_present(work: Coroutine[Any, Any, T], receive: Receive) -> T:
    """What `work` gives; it is cancelled, and ClientGone raised, when the client hangs up before it is done."""
    task, watch = asyncio.ensure_future(work), asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait((task,))
        if task.cancelled() or task.exception() is not None:
            raise ClientGone
        return task.result()
    finally:
        watch.cancel()
        task.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def too_large(limit: int, found: str) -> ApiError:
    return ApiError(413, f"the body has {found}, expected at most {limit}", code="body_too_large")
