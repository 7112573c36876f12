"""The operator's decisions about people's tokens and the audit log; checked once, when made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from monitor.validation import require

SCOPES = ("infer", "feedback", "review", "downstream", "admin", "approve", "read")
# algorithm of a signature -> what its key must be; none of them has a shared secret
ALGORITHMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **{f"{kind}{bits}": ("RSA",) for kind in ("RS", "PS") for bits in (256, 384, 512)},
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "EdDSA": ("OKP", "Ed25519"),
    }
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Whose tokens are taken as bearer of a request, next to API keys, and what people may do. Without an issuer no
    token is taken."""

    issuer: str = ""  # as tokens name it (`iss`); empty: no token is taken
    audience: str = ""  # that tokens must be for (`aud`)
    jwks: str = ""  # the issuer's keys, an https address or a file's path; empty: where its discovery document says
    ca: Path | None = None  # PEM: whom the issuer's certificate must lead to; none: whom the system trusts
    algorithms: tuple[str, ...] = ("RS256", "ES256")  # of signatures that are taken
    person_claim: str = "sub"  # the claim that names the person, never given to another one; as `email`
    groups_claim: str = "groups"  # the claim with the person's groups; dots lead into tables, as `realm_access.roles`
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)  # group -> scopes of its people
    keep_s: float = 86_400.0  # that keys count once the issuer is away, over restarts too; then its tokens get a 503
    refresh_s: float = 300.0  # how often the issuer's keys are read again; at once where a token names a new one
    leeway_s: float = 30.0  # by which the issuer's clock may differ

    def __post_init__(self) -> None:
        if self.issuer:
            require(self, "issuer", secure(self.issuer), "an https address, as the tokens' `iss` has it")
            require(self, "audience", bool(self.audience), "what tokens for this gateway have as `aud`")
            require(self, "groups", bool(self.groups), 'a table of groups, as {ml-platform = ["admin", "approve"]}')
        plain = "://" in self.jwks and not secure(self.jwks)
        require(self, "jwks", not plain, "an https address: who alters the keys on their way may do everything")
        strange = sorted(set(self.algorithms) - ALGORITHMS.keys())
        require(self, "algorithms", bool(self.algorithms) and not strange, f"some of {', '.join(ALGORITHMS)}")
        for group, scopes in self.groups.items():
            given = bool(scopes) and set(scopes) <= set(SCOPES)
            require(self, "groups", given, f"for {group} some of {', '.join(SCOPES)}")
        for name in ("person_claim", "groups_claim"):
            require(self, name, bool(getattr(self, name).strip()), "a claim's name")
        require(self, "refresh_s", self.refresh_s >= 1, "at least 1 second")
        require(
            self, "keep_s", self.keep_s >= self.refresh_s, "at least refresh_s: keys count until they are read again"
        )
        require(self, "leeway_s", 0 <= self.leeway_s <= 300, "0 to 300 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """Where each act at the admin port, and each refusal, leaves a line."""

    target: str = ""  # `stdout`, or a file's path: a line of JSON each; empty: nowhere


def secure(url: str) -> bool:
    """Return whether what comes from an address cannot be altered on its way: https, or this machine's own.

    >>> secure("https://idp.example"), secure("http://127.0.0.1:8000/keys"), secure("http://idp.example")
    (True, True, False)
    """
    parts = urlsplit(url)
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
