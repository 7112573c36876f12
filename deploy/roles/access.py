"""Who may ask gateways and admin ports: the keys of the configuration, and people's tokens where it has an issuer."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deploy.config import secrets
from deploy.config.settings import Config

if TYPE_CHECKING:
    from serving.gateway.access.audit import AuditLog
    from serving.gateway.access.keys import Key, KeyRing
    from serving.gateway.access.tokens import Tokens

READ_S = 3.0  # the issuer's keys, and those revoked, before the first request; without them API keys are known


@contextmanager
def key_ring(config: Config, process: str, revoked: Container[str], *, default: bool = True) -> Iterator[KeyRing]:
    """Give all who may ask; while it lasts the issuer's keys are read again. `process`: whose file in `stack.var` has
    those read last. `revoked`: digests of keys that count no longer. `default`: with the key that the installation
    makes for itself, where that is taken. Raise ValueError where there is no key and no issuer."""
    from serving.gateway.access.keys import KeyRing

    given, path, settings = given_keys(config) if default else [], config.gateway.keys_file, config.oidc
    if not given and path is None and not settings.issuer:
        raise ValueError(
            "nobody may ask: expected gateway.keys_file (`homeostat key NAME` prints an entry), [oidc] with an issuer, "
            "or gateway.default_key = true for the key in secrets/api.key"
        )
    if not settings.issuer:
        yield KeyRing(given, path, revoked=revoked)
        return
    with _tokens(config, process) as tokens:
        yield KeyRing(given, path, tokens=tokens, revoked=revoked)


@contextmanager
def revocations(config: Config, process: str) -> Iterator[Container[str]]:
    """Give the digests of the keys that were revoked, as the log has them while this lasts; before that, and while
    Kafka is away, those that the process knew last."""
    from serving.gateway.access.revocations import Revocations

    followed = Revocations(config.kafka, config.stack.var / "revoked" / f"{process}.json")
    followed.start()
    try:
        followed.wait(READ_S)
        yield followed
    finally:
        followed.close()


def given_keys(config: Config) -> list[Key]:
    """Return the API key that the installation makes for itself, where it is taken."""
    from serving.gateway.access.keys import Key

    return [Key.of("default", secrets.api_key(config))] if secrets.default_key(config) else []


@contextmanager
def _tokens(config: Config, process: str) -> Iterator[Tokens]:
    from serving.gateway.access.issuer_keys import IssuerKeys
    from serving.gateway.access.tokens import Tokens

    keys = IssuerKeys(config.oidc, config.stack.var / "issuer" / f"{process}.json")
    keys.start()
    try:
        keys.wait(READ_S)
        yield Tokens(config.oidc, keys)
    finally:
        keys.close()


def audit_log(config: Config, process: str) -> AuditLog:
    """Return the audit log of a process."""
    from serving.gateway.access.audit import AuditLog

    return AuditLog(config.audit.target, process)
