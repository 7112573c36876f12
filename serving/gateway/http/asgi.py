"""The ASGI application: a request's head is checked, it is admitted, read within a budget, served, always answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

import structlog

from serving import metrics
from serving.gateway.errors import ApiError, too_large, unavailable
from serving.gateway.http.bodies import BodyBudget, BodyShare
from serving.gateway.http.cors import allowed
from serving.gateway.http.limits import Limits
from serving.gateway.http.request import HANG_UP, Message, Request, Send

log = structlog.get_logger()

Receive = Callable[[], Coroutine[Any, Any, Message]]
LONGEST_TARGET = 4_096
HOST = re.compile(rb"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(:[0-9]*)?")  # RFC 9110, 7.2


class Application(Protocol):
    """The part that answers requests. `admit` must return at once: every other request waits for it."""

    def admit(self, request: Request) -> Callable[[], None]:
        """Check a request before its body is read; return the function to call once it is over. Raise ApiError."""

    async def serve(self, request: Request) -> None:
        """Answer the request, or raise ApiError. Cancelled when the client is gone or the server must stop."""


class ExchangeObserver(Protocol):
    """The part that notes requests for operators. Neither may raise."""

    def begin(self, request: Request) -> None:
        """Take notice of a request whose head is there."""

    def end(self, request: Request) -> None:
        """Take notice that it is over."""


class ClientGone(Exception):
    """The client hung up before its body was whole."""


class AsgiApplication:
    """The application as uvicorn calls it, once for each request."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        origins: Collection[str] = (),
        observer: ExchangeObserver | None = None,
    ) -> None:
        """`origins`: of web pages that may read answers, see `serving.gateway.http.cors`."""
        self._application, self._limits, self._origins = application, limits, origins
        self._observer = observer
        self._budget = BodyBudget(limits)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        request, observer = Request(scope, send), self._observer
        if observer is None:
            await self._answer(request, scope, receive)
            return
        observer.begin(request)
        try:
            await self._answer(request, scope, receive)
        finally:
            observer.end(request)

    async def _answer(self, request: Request, scope: Message, receive: Receive) -> None:
        if self._origins:
            request.extra = allowed(self._origins, request.method, request.headers)
        try:
            await self._handle(request, scope, receive)
        except ApiError as error:
            metrics.REJECTED.labels(str(error.status), error.code or "").inc()
            request.fail(error)
        except ClientGone:
            return
        except asyncio.CancelledError:  # the handler, once there is one, answers itself
            if not request.gone and not request.started:
                request.keep_alive = False
                request.fail(unavailable("the gateway is ending", "shutting_down"))
        except Exception:  # the request's top: a defect must be an answer too, where nothing was sent yet
            log.exception("request failed", path=request.path)
            if not request.started:
                request.fail(ApiError(500, "the gateway failed; its log says why", code="internal_error"))
        if not request.gone:
            await request.flush()

    async def _handle(self, request: Request, scope: Message, receive: Receive) -> None:
        request.keep_alive = False  # until it is allowed
        length = self._check(request, scope)
        leave = self._application.admit(request)
        share = BodyShare(self._budget, request.key)
        try:
            if request.method != "OPTIONS":  # it needs no key
                request.body = await self._read(request, length, share, receive)
            request.keep_alive = request.method != "OPTIONS" or bool(request.extra)
            await self._serve(request, scope)
        finally:
            share.release()
            leave()

    def _check(self, request: Request, scope: Message) -> int:
        """Return the length that is announced, 0 where none is. Raise ApiError where the head alone refuses the
        request."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not HOST.fullmatch(hosts[0]):
            raise ApiError(
                400, f"{len(hosts)} Host headers or one that is no host, expected a valid one", code="bad_host"
            )
        if len(request.target) + len(scope["query_string"]) > LONGEST_TARGET:
            raise ApiError(414, f"the request's target is longer than {LONGEST_TARGET} bytes", code="target_too_long")
        length, limit = request.headers.get("content-length", ""), self._limits.body_bytes
        if not length.isdigit():
            return 0
        if len(length) > 15 or int(length) > limit:
            raise too_large(limit, f"{length[:20]} bytes")
        return int(length)

    async def _read(self, request: Request, length: int, share: BodyShare, receive: Receive) -> bytes:
        """Return the whole body. A body in chunks takes of the budget as it comes."""
        share.hold(length)
        body: bytes | bytearray = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                request.gone = True
                raise ClientGone
            piece: bytes = message.get("body", b"")
            if not body:
                body = piece
            else:
                body = body if isinstance(body, bytearray) else bytearray(body)
                body += piece
            if len(body) > self._limits.body_bytes:
                raise too_large(self._limits.body_bytes, f"more than {self._limits.body_bytes} bytes")
            share.hold(len(body))
            if not message.get("more_body", False):
                return bytes(body)

    async def _serve(self, request: Request, scope: Message) -> None:
        serving = asyncio.current_task()

        def hang_up() -> None:
            if serving is not None and not request.done:
                request.gone = True
                serving.cancel()

        scope[HANG_UP] = hang_up
        try:
            await self._application.serve(request)
        finally:
            del scope[HANG_UP]
