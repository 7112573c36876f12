"""A gateway in front of two fake engines, and what its tests switch on by name."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog.testing

from tests.serving.support.scene import Scene


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.gateway.http.listener.LOOK_EVERY", 1)


@pytest.fixture
def no_defect(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that happens here is a defect to the gateway, nor an error to its event loop; and no log tells a key."""
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as logged:
        yield
    assert [entry for entry in logged if entry["log_level"] == "error"] == []
    assert "secret" not in str(logged)
    assert caplog.records == []


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with Scene().running() as running:
        yield running
