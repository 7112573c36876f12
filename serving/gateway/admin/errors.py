"""The part that the gateway's admin port and the admin API have in common: errors in the gateway's shape, room for
people's tokens, and nothing of a request in the log."""

from __future__ import annotations

import logging
from typing import Any

import structlog
from aiohttp import http_exceptions, typedefs, web

from serving.gateway.errors import ApiError
from serving.gateway.http.limits import Limits

log = structlog.get_logger()

SERVER = logging.getLogger("aiohttp.server")
UNREAD = (408, 413)  # of the request there is more to come, which nobody reads


async def answered(request: web.Request, handler: typedefs.Handler) -> web.StreamResponse | ApiError:
    """Return a handler's answer, or the error that the caller gets."""
    what = f"{request.method} {request.path}"
    try:
        return await handler(request)
    except web.HTTPException as error:
        return ApiError(error.status, f"{what}: {error.reason}")
    except web.RequestPayloadError:
        return ApiError(400, f"{what}: the body is not as its headers say", code="invalid_body")
    except ApiError as error:
        return error
    except Exception:  # the request's top: the caller gets an answer of the usual shape
        log.exception("admin request failed", method=request.method, path=request.path)
        return ApiError(500, f"{what}: something went wrong; see the log")


def refusal(error: ApiError) -> web.Response:
    """Return the answer that an error is."""
    headers = {**error.headers, "connection": "close"} if error.status in UNREAD else dict(error.headers)
    return web.Response(body=error.body(), status=error.status, content_type="application/json", headers=headers)


def runner(app: web.Application, **more: Any) -> web.AppRunner:
    """Return what serves an application. A line of a head may be as long as at the gateway: tokens of people with many
    groups are. What is no HTTP gets a 400 and no line in the log: that would quote it, keys included."""
    SERVER.addFilter(_of_no_request)
    most = Limits().head_bytes
    return web.AppRunner(app, access_log=None, max_line_size=most, max_field_size=most, **more)


def _of_no_request(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError | web.RequestPayloadError)
