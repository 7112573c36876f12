"""Cross-origin requests: which web pages may read the gateway's answers (https://fetch.spec.whatwg.org, CORS protocol).

Off unless origins are named. Keys travel in a header, never in a cookie: no credentials are allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from serving.gateway.http.request import Header

EXPOSED = b"retry-after, x-homeostat-request-id, x-homeostat-version, x-request-id, x-should-retry"
METHODS = b"GET, HEAD, POST"
KEPT_S = b"600"  # by a browser, before it asks again
ANY = "*"


def allowed(origins: Collection[str], method: str, headers: Mapping[str, str]) -> list[Header]:
    """Return the headers that let the page read the answer; empty where its origin is not among the named ones.

    >>> allowed({"https://a"}, "POST", {"origin": "https://b"})
    []
    """
    origin = headers.get("origin")
    if origin is None or not (origin in origins or ANY in origins):
        return []
    answer = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"origin")]
    if method != "OPTIONS" or "access-control-request-method" not in headers:
        return [*answer, (b"access-control-expose-headers", EXPOSED)]
    asked = headers.get("access-control-request-headers", "authorization, content-type").encode("latin-1")
    answer += [(b"access-control-allow-methods", METHODS), (b"access-control-allow-headers", asked)]
    return [*answer, (b"access-control-max-age", KEPT_S)]
