"""A test that asks for `storage` runs on a folder and on S3, and with `make test-azure` on Azure."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from streams.objects.opening import Storage
from tests.support.azure import Azure
from tests.support.s3 import S3


@pytest.fixture(
    params=["folder", pytest.param("s3", marks=pytest.mark.slow), pytest.param("azure", marks=pytest.mark.system)]
)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty store of this test's own."""
    if request.param == "folder":
        return Storage(var=tmp_path)
    server: S3 | Azure = request.getfixturevalue(request.param)
    return Storage(server.storage(uuid.uuid4().hex), tmp_path)
