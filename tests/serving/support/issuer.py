"""An issuer of tokens on this machine: discovery and keys over HTTP, and tokens signed with real RSA, EC and Ed25519
keys."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from serving.access_settings import OidcSettings

AUDIENCE = "homeostat"
GROUPS = {"platform": ("admin", "approve"), "support": ("infer", "feedback")}
KINDS: dict[str, Callable[[], Any]] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}
MADE = {name: make() for name, make in KINDS.items()}


def public(algorithm: str, kid: str, key: Any = None, **more: Any) -> dict[str, Any]:
    """A key as a set has it."""
    public_key = (key or MADE[algorithm]).public_key()
    made = get_default_algorithms()[algorithm].to_jwk(public_key, as_dict=True)
    return {**made, "kid": kid, "use": "sig", **more}


class Issuer:
    """`keys`: what it gives out; `asked`: the paths that it was asked for. `status`: of its answers."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [public("RS256", "rsa")]
        self.asked: list[str] = []
        self.status, self.body = 200, b""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked.append(self.path)
                self.send_response(issuer.status)
                self.send_header("location", "/keys")
                self.end_headers()
                self.wfile.write(issuer.body or json.dumps(issuer.answer(self.path)).encode())

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Issuer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        return {"keys": self.keys}

    def settings(self, **changes: Any) -> OidcSettings:
        given: dict[str, Any] = {"issuer": self.url, "audience": AUDIENCE, "groups": GROUPS, **changes}
        return OidcSettings(**given)

    def token(self, kid: str | None = "rsa", algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
        """A token of ann, good for five minutes; a claim that is None is left out."""
        now = time.time()
        body = {"iss": self.url, "aud": AUDIENCE, "sub": "ann", "groups": ["platform"], "exp": now + 300, "iat": now}
        body = {name: value for name, value in {**body, **claims}.items() if value is not None}
        head = {} if kid is None else {"kid": kid}
        return jwt.encode(body, key if key is not None else MADE[algorithm], algorithm, head)
