"""A certificate that is renewed is served without a restart; a broken one is not."""

from __future__ import annotations

import asyncio
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
