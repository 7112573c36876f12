"""The OpenAI-compatible gateway: an ASGI application in front of the engines.

    app = create_gateway(settings, table, keys, signer, publish)

`table` gives the routes as known now, `publish` takes events and never blocks. Both live longer than the app.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
import structlog

from serving import engine, metrics
from serving.asgi import ClientGone, Receive, Request, Scope, Send
from serving.capture import Capture, Publish, RecentAnswers
from serving.errors import ApiError
from serving.feedback import Feedback
from serving.inference import PATHS, Inference, model_card, unknown
from serving.keys import KeyRing
from serving.masking import Masker
from serving.reply import CHAT, COMPLETION
from serving.routing import RouteTable
from serving.settings import GatewaySettings
from streams.identity import Signer

log = structlog.get_logger()

Handler = Callable[[Request, str], Awaitable[None]]  # takes the request and the caller's id
MODELS, FEEDBACK = "/v1/models", "/v1/feedback"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers at a path, and what its caller must be allowed to do."""

    method: str
    scope: str
    handler: Handler


def create_gateway(
    settings: GatewaySettings,
    table: Callable[[], RouteTable],
    keys: KeyRing,
    signer: Signer,
    publish: Publish,
) -> Gateway:
    """The application; connections are made when its server starts it."""
    return Gateway(settings, table, keys, signer, publish)


class Gateway:
    """Every error is an answer in OpenAI's shape."""

    def __init__(
        self,
        settings: GatewaySettings,
        table: Callable[[], RouteTable],
        keys: KeyRing,
        signer: Signer,
        publish: Publish,
    ) -> None:
        self._settings, self._table, self._keys = settings, table, keys
        self._signer, self._publish = signer, publish
        self._masker = Masker(settings.mask)
        self._recent = RecentAnswers(settings.recent_answers)
        self._endpoints: dict[str, Endpoint] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._answer(Request.of(scope, receive, send))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        session = engine.session(self._settings.connect_timeout_s)
        async with session:
            capture = Capture(self._publish, self._masker, self._recent)
            inference = Inference(self._settings, self._table, session, self._signer, capture)
            self._endpoints = self._wired(inference)
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    def _wired(self, inference: Inference) -> dict[str, Endpoint]:
        feedback = Feedback(self._settings, self._signer, self._publish, self._recent, self._masker)
        return {
            PATHS[CHAT]: Endpoint("POST", "infer", lambda r, key: inference.serve(r, CHAT, key)),
            PATHS[COMPLETION]: Endpoint("POST", "infer", lambda r, key: inference.serve(r, COMPLETION, key)),
            MODELS: Endpoint("GET", "infer", self._models),
            FEEDBACK: Endpoint("POST", "feedback", feedback.serve),
        }

    async def _answer(self, request: Request) -> None:
        try:
            endpoint = self._find(request)
            key_id = self._keys.authorise(request.headers.get("authorization", ""), endpoint.scope)
            await endpoint.handler(request, key_id)
        except ApiError as error:
            metrics.REJECTED.labels(str(error.status), error.code or "").inc()
            await request.fail(error)
        except ClientGone:
            log.info("client hung up before its request was read", path=request.path)
        except Exception:  # the request's top: a defect must be an answer too, where nothing was sent yet
            log.exception("request failed", path=request.path)
            if not request.started:
                await request.fail(ApiError(500, "the gateway failed; its log says why", code="internal_error"))

    def _find(self, request: Request) -> Endpoint:
        path = MODELS if request.path.startswith(MODELS + "/") else request.path
        endpoint = self._endpoints.get(path)
        if endpoint is None:
            known = ", ".join(self._endpoints)
            raise ApiError(404, f"there is nothing at {request.path}; expected one of {known}", code="unknown_path")
        if request.method != endpoint.method:
            message = f"{request.path} takes {endpoint.method}, not {request.method}"
            raise ApiError(405, message, code="method_not_allowed", headers={"allow": endpoint.method})
        return endpoint

    async def _models(self, request: Request, key_id: str) -> None:
        table = self._table()
        if request.path == MODELS:
            cards = [model_card(alias, table) for alias in sorted(table.routes)]
            await request.answer(200, msgspec.json.encode({"object": "list", "data": cards}))
            return
        alias = request.path.removeprefix(MODELS + "/")
        if alias not in table.routes:
            raise unknown(alias, table)
        await request.answer(200, msgspec.json.encode(model_card(alias, table)))
