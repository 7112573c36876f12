"""The check of ports that take keys and tokens: over plain http others on the network read them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from deploy.doctor.findings import Finding
from deploy.doctor.services import Examined

CLOSED = "let network policies admit those alone who may read along, or put a proxy that speaks TLS before it"


def gateways(config: Examined) -> Iterator[Finding]:
    """Check the gateways' admin ports, which have no TLS of their own."""
    if not _loopback(config):
        for name, port in config.stack.gateways().items():
            yield _read(f"admin port of {name}", config, port, f"set stack.bind to 127.0.0.1, or {CLOSED}")


def admin_api(config: Examined) -> Iterator[Finding]:
    """Check the port of `homeostat run admin`."""
    if not _loopback(config) and config.admin.tls_cert is None:
        yield _read("admin API", config, config.stack.admin_port, f"set admin.tls_cert and admin.tls_key, or {CLOSED}")


def _read(name: str, config: Examined, port: int, remedy: str) -> Finding:
    detail = f"{config.stack.bind}:{port} takes keys and tokens over plain http, from other machines too"
    return Finding(name, False, detail, remedy, needed=False)


def _loopback(config: Examined) -> bool:
    return ipaddress.ip_address(config.stack.bind).is_loopback
