"""A certificate that is renewed is served without a restart; a broken one is not."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog.testing

from deploy.config import secrets
from serving.gateway.http.certificate import Certificate
from serving.gateway.http.listener import Listener
from tests.serving.support.certificates import Certificates
from tests.serving.support.http_server import LIMITS, Application
from tests.serving.support.wire import asking, wired
from tests.support.authority import Authority


def made(folder: Path) -> Certificates:
    folder.mkdir()
    return Certificates(folder)


@asynccontextmanager
async def behind(certificate: Certificate) -> AsyncIterator[int]:
    server = Listener(Application(), LIMITS)
    await server.start("127.0.0.1", 0, certificate)
    yield server.port
    await server.drain(0.0)


async def shown(port: int) -> bytes:
    """The certificate that a new connection gets."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with wired(port, trusting) as wire:
        wire.send(asking())
        assert (await wire.answer()).status == 200
        return bytes(wire.writer.get_extra_info("ssl_object").getpeercert(binary_form=True))


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


@pytest.mark.slow
async def test_a_new_pair_of_files_is_shown_to_new_connections(tmp_path: Path) -> None:
    old, new = made(tmp_path / "old"), made(tmp_path / "new")
    async with behind(Certificate(old.cert, old.key)) as port, wired(port, old.client()) as before:
        assert await shown(port) == der(old.cert)
        expected = der(new.cert)
        new.cert.replace(old.cert)
        new.key.replace(old.key)
        async with asyncio.timeout(10):
            while await shown(port) != expected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        before.send(asking())
        assert (await before.answer()).status == 200


async def test_it_is_read_again_when_asked(tmp_path: Path) -> None:
    """As a SIGHUP does: the files may have changed within the clock's grain."""
    old, new = made(tmp_path / "old"), made(tmp_path / "new")
    certificate = Certificate(old.cert, old.key)
    expected = der(new.cert)
    async with behind(certificate) as port:
        old.cert.write_bytes(new.cert.read_bytes())
        old.key.write_bytes(new.key.read_bytes())
        certificate.reload()
        assert await shown(port) == expected


@pytest.mark.parametrize("fault", ["no pair", "no PEM", "away", "open to all"])
async def test_a_broken_pair_changes_nothing(tmp_path: Path, fault: str) -> None:
    old, new = made(tmp_path / "old"), made(tmp_path / "new")
    certificate, expected = Certificate(old.cert, old.key, secrets.check_closed), der(old.cert)
    if fault == "no pair":
        old.key.write_bytes(new.key.read_bytes())
    elif fault == "no PEM":
        old.cert.write_text("none")
    elif fault == "away":
        old.cert.unlink()
    else:
        old.key.chmod(0o644)
    async with behind(certificate) as port:
        with structlog.testing.capture_logs() as logged:
            certificate.reload()
        assert [entry["log_level"] for entry in logged] == ["error"]
        assert await shown(port) == expected


def answered(port: int, context: ssl.SSLContext, before: ssl.SSLSession | None = None) -> ssl.SSLSession | None:
    """A client that begins with the session that it had before; its session, where it was let in."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", session=before) as connection,
        ):
            connection.sendall(asking())
            return connection.session if connection.recv(1_000).startswith(b"HTTP/1.1 200") else None
    except OSError:
        return None


async def test_whom_clients_must_lead_to_is_read_again_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """Who was let in once does not go on with its session, either."""
    own, former, later = (Authority(tmp_path, name) for name in ("own", "former", "later"))
    shown, trusted = own.sign("shown"), tmp_path / "trusted.pem"
    trusted.write_bytes(former.ca.read_bytes())
    contexts = []
    for authority in (former, later):
        pair, context = authority.sign(f"client-{authority.ca.stem}"), ssl.create_default_context(cafile=own.ca)
        context.load_cert_chain(pair.cert, pair.key)
        contexts.append(context)
    certificate = Certificate(shown.cert, shown.key, client_ca=trusted)

    async def let_in(*before: ssl.SSLSession | None) -> list[ssl.SSLSession | None]:
        return [await asyncio.to_thread(answered, port, *each) for each in zip(contexts, before, strict=True)]

    async with behind(certificate) as port:
        session, nobody = await let_in(None, None)
        assert session
        assert nobody is None
        trusted.write_text("nothing of use")
        with structlog.testing.capture_logs() as logged:
            certificate.reload_if_changed()
            certificate.reload_if_changed()
        (kept,) = [each for each in logged if each["log_level"] == "error"]
        assert kept["error"].startswith(f"{trusted}: no certificates in PEM (")
        assert [each is not None for each in await let_in(session, None)] == [True, False]
        trusted.write_bytes(later.ca.read_bytes())
        certificate.reload_if_changed()
        assert [each is not None for each in await let_in(session, None)] == [False, True]
