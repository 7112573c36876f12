"""What hinders TLS with brokers is named before any client tries, and their certificates a month before they end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.doctor.certificates import HUNG_UP, tls_of_brokers
from deploy.doctor.findings import Finding
from streams.log.security.settings import SecuritySettings
from streams.log.settings import KafkaSettings
from tests.support.authority import Authority


@contextmanager
def broker(authority: Authority, days: float, *, mutual: bool = False, rude: bool = False) -> Iterator[str]:
    """Shakes hands as a broker does, and answers each with a byte; a rude one hangs up instead."""
    shown = authority.sign("broker", days)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.ca)
    server.load_cert_chain(shown.cert, shown.key)
    server.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_NONE
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), server.wrap_socket(plain, server_side=True) as link:
                    link.recv(64)
                    link.sendall(b"" if rude else b"x")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def found(server: str, security: SecuritySettings) -> list[Finding]:
    return list(tls_of_brokers(KafkaSettings(server, security=security), datetime.now(UTC)))


@pytest.mark.parametrize(("days", "ok", "needed"), [(40, True, True), (20, False, False), (0.3, False, True)])
def test_a_brokers_certificate_is_named_a_month_before_it_ends(
    tmp_path: Path, days: float, ok: bool, needed: bool
) -> None:
    authority = Authority(tmp_path)
    with broker(authority, days) as server:
        (finding,) = found(server, SecuritySettings(ca=authority.ca))
    assert (finding.ok, finding.needed) == (ok, needed)
    assert finding.detail.startswith(f"{server} {'is valid until' if ok else 'ends on'}")


def test_why_a_handshake_fails_is_named(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with broker(authority, -1) as ended:
        (finding,) = found(ended, SecuritySettings(ca=authority.ca))
        assert (finding.ok, finding.detail) == (False, f"{ended}: certificate has expired")
    with broker(authority, 40, mutual=True) as server:
        (finding,) = found(server, SecuritySettings(ca=authority.ca))
        assert "CERTIFICATE_REQUIRED" in finding.detail or HUNG_UP in finding.detail  # its reason may get lost
        assert "kafka.security.ca" in finding.remedy
        ours = authority.sign("worker")
        (finding,) = found(server, SecuritySettings(ca=authority.ca, cert=ours.cert, key=ours.key))
        assert finding.ok
        (finding,) = found(server, SecuritySettings(ca=Authority(tmp_path / "other").ca))
        assert not finding.ok
    with broker(authority, 40, rude=True) as server:
        (finding,) = found(server, SecuritySettings(ca=authority.ca))
        assert finding.detail == f"{server}: {HUNG_UP}"
    assert found("127.0.0.1:1", SecuritySettings(ca=authority.ca)) == []  # a check of its own says that it is away
    assert found("127.0.0.1:1", SecuritySettings()) == []
