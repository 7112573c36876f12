"""Each test here that asks for `place` runs on a folder and on S3, and with `make test-azure` on Azure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees
from tests.support.azure import Azure
from tests.support.s3 import S3

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Place:
    """A store, as several machines reach it."""

    settings: StorageSettings
    folder: Path

    def trees(self, machine: str = "one", patience_s: float = PATIENCE_S) -> Trees:
        """The trees as a machine opens them; each has a cache of its own."""
        return Storage(self.settings, self.var(machine)).trees(patience_s)

    def var(self, machine: str) -> Path:
        """Its stack.var: shared where it is the store."""
        return self.folder / machine if self.settings.url else self.folder


@pytest.fixture(
    params=["folder", pytest.param("s3", marks=pytest.mark.slow), pytest.param("azure", marks=pytest.mark.system)]
)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(StorageSettings(), tmp_path)
    server: S3 | Azure = request.getfixturevalue(request.param)
    return Place(server.storage(tmp_path.name), tmp_path)


@pytest.fixture
def bucket(s3: S3, tmp_path: Path) -> Place:
    return Place(s3.storage(tmp_path.name), tmp_path)
