"""A store on a folder and in buckets, and the lake in it: a test that asks for one of them runs on all of them."""

from __future__ import annotations

import pytest

from streams.lake.lake import Lake
from streams.objects.opening import Storage
from tests.support.s3 import IMPATIENT


@pytest.fixture
def lake(storage: Storage) -> Lake:
    """An empty lake; one that is away gives up soon."""
    if storage.settings.url.startswith("az:"):
        pytest.skip("the emulator lists from the beginning whatever it is asked, and the Delta library takes its word")
    impatient = IMPATIENT if storage.settings.in_bucket else {}
    return Lake(storage.address("lake"), {**storage.options, **impatient})
