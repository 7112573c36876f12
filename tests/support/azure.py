"""Azure's blob interface on a free port of this machine: Microsoft's emulator Azurite, which `make test-azure` fetches.
Its account and key are those that its manual prints."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from deploy.stack import ports
from streams.objects.settings import StorageSettings

ACCOUNT, CONTAINER = "devstoreaccount1", "homeostat"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
VERSION = "2023-11-03"
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Azure:
    """A running server with one container."""

    url: str

    @property
    def options(self) -> dict[str, str]:
        return {"account_name": ACCOUNT, "endpoint": f"{self.url}/{ACCOUNT}", "allow_http": "true"}

    def storage(self, prefix: str) -> StorageSettings:
        """Settings of a prefix of a test's own."""
        return StorageSettings(url=f"az://{CONTAINER}/{prefix}", options=self.options)


@contextmanager
def server(folder: Path) -> Iterator[Azure]:
    port = ports.free(1)[0]
    command = ["azurite-blob", "--silent", "--location", str(folder), "--blobPort", str(port), "--skipApiVersionCheck"]
    process = subprocess.Popen(command)
    try:
        azure = Azure(f"http://127.0.0.1:{port}")
        _create(azure)
        yield azure
    finally:
        process.terminate()
        process.wait(30)


def _create(azure: Azure) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urlopen(_signed(f"{azure.url}/{ACCOUNT}/{CONTAINER}?restype=container")) as answer:
                assert answer.status == 201
                return
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _signed(url: str) -> Request:
    """The request that makes a container, signed as Azure's shared keys are."""
    now = formatdate(usegmt=True)
    lines = ["PUT", *[""] * 11, f"x-ms-date:{now}", f"x-ms-version:{VERSION}"]
    text = "\n".join([*lines, f"/{ACCOUNT}/{ACCOUNT}/{CONTAINER}", "restype:container"])
    mark = base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()
    headers = {"x-ms-date": now, "x-ms-version": VERSION, "Authorization": f"SharedKey {ACCOUNT}:{mark}"}
    return Request(url, method="PUT", headers=headers | {"Content-Length": "0"})


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    with server(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def azure(azure_server: Azure, monkeypatch: pytest.MonkeyPatch) -> Azure:
    """The server, and its key in the environment."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", KEY)
    return azure_server
