"""The base and the images, once a session."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from tests.system.images.containers import based, built, cleared


@pytest.fixture(scope="session")
def base() -> str:
    cleared()
    return based()


@pytest.fixture(scope="session")
def image_of() -> Callable[[str], str]:
    """Gives the image of a target, built at the first question."""
    return cache(built)
