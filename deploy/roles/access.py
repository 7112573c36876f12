"""Who may ask gateways and admin ports: the keys of the configuration, and people's tokens where it has an issuer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deploy.config import secrets
from deploy.config.settings import Config

if TYPE_CHECKING:
    from serving.gateway.access.audit import AuditLog
    from serving.gateway.access.keys import KeyRing

READ_S = 3.0  # the issuer's keys, before the first request; without them API keys are known


@contextmanager
def key_ring(config: Config, *, default: bool = True) -> Iterator[KeyRing]:
    """Give all who may ask; while it lasts the issuer's keys are read again. `default`: with the key that the
    installation makes for itself, where that is taken. Raise ValueError where there is no key and no issuer."""
    from serving.gateway.access.keys import Key, KeyRing

    made = default and secrets.default_key(config)
    given = [Key.of("default", secrets.api_key(config))] if made else []
    path, settings = config.gateway.keys_file, config.oidc
    if not given and path is None and not settings.issuer:
        raise ValueError(
            "nobody may ask: expected gateway.keys_file (`homeostat key NAME` prints an entry), [oidc] with an issuer, "
            "or gateway.default_key = true for the key in secrets/api.key"
        )
    if not settings.issuer:
        yield KeyRing(given, path)
        return
    from serving.gateway.access.issuer_keys import IssuerKeys
    from serving.gateway.access.tokens import Tokens

    keys = IssuerKeys(settings)
    keys.start()
    try:
        keys.wait(READ_S)
        yield KeyRing(given, path, tokens=Tokens(settings, keys))
    finally:
        keys.close()


def audit_log(config: Config, process: str) -> AuditLog:
    """Return the audit log of a process."""
    from serving.gateway.access.audit import AuditLog

    return AuditLog(config.audit.target, process)
