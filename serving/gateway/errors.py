"""Errors in the shape that OpenAI's clients understand."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

KINDS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}

STAY = {"x-should-retry": "false"}  # OpenAI's clients try 5xx again by themselves, but for this header
LONGEST_SHOWN = 80
_short = reprlib.Repr()
_short.maxstring = _short.maxlong = _short.maxother = 2 * LONGEST_SHOWN


@dataclass(slots=True, eq=False)  # not frozen: a context manager sets an exception's traceback
class ApiError(Exception):
    """An answer that is an error. `param`: the field of the request that is wrong; `code`: for programs."""

    status: int
    message: str
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    by: str = ""  # who was refused, for the audit log, where that is known

    @property
    def kind(self) -> str:
        """Return OpenAI's `type`."""
        return KINDS.get(self.status, "server_error" if self.status >= 500 else KINDS[400])

    def body(self) -> bytes:
        """Return the JSON that the client gets."""
        message = self.message.encode(errors="replace").decode()  # half a character is none to JSON
        error = {"message": message, "type": self.kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def wrong(param: str, value: object, expected: str) -> ApiError:
    """Return the error for a field that is not what it should be; a long value is cut, a deep one too."""
    return ApiError(400, f"{param} is {cut(_short.repr(value))}, expected {expected}", param)


def cut(text: str) -> str:
    """Return as much of a client's text as an answer repeats."""
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."


def missing(param: str, expected: str) -> ApiError:
    """Return the error for a field that must be there."""
    return ApiError(400, f"{param} is missing, expected {expected}", param)


def unavailable(message: str, code: str = "no_replica") -> ApiError:
    """Return the error for a request that no replica can answer just now; the client may try again in a second."""
    return ApiError(503, message, code=code, headers={"retry-after": "1"})


def too_large(limit: int, found: str) -> ApiError:
    """Return the error for more of a body than is taken."""
    return ApiError(413, f"the body has {found}, expected at most {limit}", code="body_too_large")


def busy(message: str, code: str, retry_s: float) -> ApiError:
    """Return the error for a client that asks for more than it may have just now."""
    return ApiError(429, message, code=code, headers={"retry-after": str(max(1, math.ceil(retry_s)))})
