"""An engine's errors, as the client gets them."""

from __future__ import annotations

from contextlib import suppress
from enum import StrEnum
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from serving.gateway.engines.link import ConnectionLost, Link, Unreached
from serving.gateway.errors import STAY, ApiError

LONGEST_REASON = 2_000  # characters of why an engine refused
ENGINE = "x-homeostat-engine"  # a side-car's header: why its engine gave no answer
PASSED_BACK = ("retry-after", "retry-after-ms", "x-request-id")  # from the engine's headers to the client


class EngineLoss(StrEnum):
    """What a side-car says of the engine behind it, where that gave no answer."""

    AWAY = "away"  # it was not asked
    LOST = "lost"  # it ended the connection, and takes new ones
    AGAIN = "again"  # it ended two connections with the request
    GONE = "gone"  # it ended the connection, and takes no new one


def engine_loss(link: Link) -> Unreached | None:
    """Return why the engine behind a side-car gave no answer, as if it had been asked itself; None where it did."""
    match link.headers.get(ENGINE):
        case None:
            return None
        case EngineLoss.LOST | EngineLoss.AGAIN | EngineLoss.GONE as lost:
            again, gone = lost == EngineLoss.AGAIN, lost == EngineLoss.GONE
            return ConnectionLost("the side-car's engine ended it", again=again, gone=gone)
        case _:
            return Unreached("the side-car could not ask its engine")


def passed_back(link: Link) -> dict[str, str]:
    """Return the engine's headers that are meant for the client. With an engine's own failure they say that the
    request is not to be sent again: the request may be why."""
    found = {name: link.headers[name] for name in PASSED_BACK if name in link.headers}
    return found | STAY if link.status == 500 else found


def error_body(link: Link, data: bytes, path: str) -> bytes:
    """Return the body of an engine's error where it has OpenAI's shape. Raise ApiError with the engine's reason where
    it has another, and where the engine does not know the path."""
    refused = 400 <= link.status < 500 and link.status != 404
    with suppress(*UNREADABLE):
        body = msgspec.json.decode(data, type=dict[str, Any])
        if "error" in body:
            return data
        if (refused or link.status >= 500) and (why := body.get("message") or body.get("detail")):
            text = why if isinstance(why, str) else msgspec.json.encode(why).decode()  # pydantic's are lists
            raise _error(link, text[:LONGEST_REASON], "engine_refused" if refused else "engine_failed")
    if link.status == 404:
        raise ApiError(404, f"the engine does not serve {path} for this model", code="not_supported")
    if refused:  # also by what stands before an engine
        raise _error(link, _plain_reason(link, data), "engine_refused")
    raise not_understood(link)


def not_understood(link: Link) -> ApiError:
    """Return the error for an answer that is not what an engine answers."""
    message = f"the engine's answer (status {link.status}) is not understood"
    return ApiError(502, message, code="engine_failed", headers=passed_back(link))


def _error(link: Link, message: str, code: str) -> ApiError:
    return ApiError(link.status, message, code=code, headers=passed_back(link))


def _plain_reason(link: Link, data: bytes) -> str:
    """Return the text of a refusal that is no JSON."""
    is_text = link.headers.get("content-type", "").lower().startswith("text/plain")
    text = data.decode(errors="replace").strip()[:LONGEST_REASON] if is_text else ""
    return text or f"the engine refused the request with status {link.status} and does not say why"
