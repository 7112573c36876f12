"""The access log of the gateway: one line for each request."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import structlog.testing

from serving.gateway.observation import access_log
from serving.gateway.observation.access_log import Accessed, AccessLog
from serving.gateway.observation.observer import RequestObserver
from streams.telemetry.logs import line
from tests.serving.support.scene import BODY, OLD, Scene
from tests.support.waiting import wait


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "EVERY_S", 0.02)


def accessed(path: str = "/v1/models") -> Accessed:
    return Accessed(1_700_000_000_123_456_789, "GET", path, 200, 1.5, "app", "", "", 12, "")


async def lines(format: Any = "json") -> tuple[list[str], list[Any]]:
    """What is written for five requests, and the replies."""
    written, scene = list[str](), Scene()
    log = AccessLog(line(format, "gateway", "here"), written.append)
    scene.observer = lambda paths: RequestObserver(log, None, paths)
    async with scene.running():
        replies = [await scene.post(), await scene.post(body={**BODY, "stream": True}), await scene.post(key="wrong")]
        replies += [await scene.post(path="/v1/none"), await scene.post(body=b"no json")]
    log.close()
    return "".join(written).splitlines(), replies


async def test_a_line_says_who_asked_for_what_and_what_came_of_it() -> None:
    found, replies = await lines()
    parsed = [json.loads(each) for each in found]
    for each, reply in zip(parsed, replies, strict=True):
        assert (each["status"], each["bytes"]) == (reply.status, len(reply.data))
        assert each["ms"] > 0
        assert (each["event"], each["level"], each["role"], each["name"]) == ("request", "info", "gateway", "here")
        assert each["timestamp"].endswith("Z")
    assert [each["status"] for each in parsed] == [200, 200, 401, 404, 400]
    assert [each.get("key") for each in parsed] == ["app", "app", None, None, "app"]
    assert [each.get("version") for each in parsed] == [OLD, OLD, None, None, None]
    assert [each.get("alias") for each in parsed] == ["support", "support", None, None, None]
    assert {each["path"] for each in parsed} == {"/v1/chat/completions", "/v1/none"}
    for private in ("Where is my", "arrival", "secret", "wrong", "no json"):
        assert private not in "".join(found)


async def test_text_has_the_same() -> None:
    found, _ = await lines("text")
    assert "level='info' event='request' method='POST' path='/v1/chat/completions' status=200" in found[0]


def test_a_disk_that_is_full_is_named_and_costs_lines_alone() -> None:
    def full(_: str) -> None:
        raise OSError(28, "No space left on device")

    log = AccessLog(str, full)
    with structlog.testing.capture_logs() as logged:
        log.keep(accessed())
        wait(lambda: bool(logged), "the warning")
        log.close()
    assert "No space left" in logged[0]["error"]


def test_more_than_may_wait_are_dropped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_log, "MOST", 3)
    monkeypatch.setattr(access_log, "EVERY_S", 60.0)  # nothing is written before the end, however slow the machine is
    written = list[str]()
    with structlog.testing.capture_logs() as logged:
        log = AccessLog(line("json", "gateway", "here"), written.append)
        began = time.monotonic()
        for _ in range(5):
            log.keep(accessed())
        assert time.monotonic() - began < 30
        log.close()
    assert len("".join(written).splitlines()) == 3
    assert [each["lines"] for each in logged] == [2]
