"""The audit log: a line for each act and each refusal, wherever it goes, and no act that waits for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving import metrics
from serving.gateway.access.audit import NO_AUDIT, REFUSALS, AuditLog
from serving.gateway.access.keys import Key
from serving.gateway.errors import ApiError, unavailable
from tests.serving.support.clock import ManualClock

ANN = Key("laptop", "0" * 64, user="ann")
REFUSED = ApiError(401, "the API key is not known", code="invalid_api_key")


def lines(path: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def test_a_line_says_who_did_what_and_how_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(str(path), "gateway-1")
    log.act(ANN, "POST /v1/pause", "10.0.0.7")
    log.act(ANN, "POST /v1/aliases/support/pause", "10.0.0.7", "support", unavailable("no broker", "log_away"))
    log.act(None, "POST /v1/pause", "10.0.0.8", "", REFUSED)
    done, failed, refused = lines(path)
    assert (done["who"], done["by"], done["what"], done["from"]) == ("ann", "key", "POST /v1/pause", "10.0.0.7")
    assert (done["outcome"], done["status"], done["process"]) == ("done", 200, "gateway-1")
    assert (failed["outcome"], failed["status"], failed["alias"]) == ("failed", 503, "support")
    assert (refused["outcome"], refused["who"], refused["by"], refused["code"]) == (
        "refused",
        "",
        "nothing",
        "invalid_api_key",
    )
    assert refused["reason"] == "the API key is not known"
    assert path.stat().st_mode & 0o077 == 0


def test_who_floods_with_wrong_keys_fills_no_disk_and_hides_no_act(tmp_path: Path) -> None:
    path, clock = tmp_path / "audit.jsonl", ManualClock()
    log = AuditLog(str(path), "gateway", clock)
    for _ in range(REFUSALS // 2 + 25):
        log.refusal(REFUSED, None, "POST /v1/chat/completions", "10.0.0.9")
        log.act(None, "GET /v1/nowhere", "10.0.0.9", "", ApiError(404, "GET /v1/nowhere: Not Found"))
    log.act(ANN, "POST /v1/pause", "10.0.0.7")
    found = lines(path)
    assert len(found) == REFUSALS + 1
    assert (found[-1]["who"], found[-1]["left_out"]) == ("ann", 50)
    clock.now += 60
    log.refusal(REFUSED, None, "POST /v1/chat/completions", "10.0.0.9")
    assert "left_out" not in lines(path)[-1]


def test_an_error_that_is_no_refusal_is_no_line(tmp_path: Path) -> None:
    AuditLog(str(tmp_path / "a"), "gateway").refusal(ApiError(400, "wrong"), ANN, "POST /v1/feedback", "")
    NO_AUDIT.act(ANN, "POST /v1/pause", "")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_moved_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(str(path), "gateway")
    log.act(ANN, "POST /v1/pause", "")
    path.rename(tmp_path / "audit.1")
    log.act(ANN, "POST /v1/resume", "")
    assert [each["what"] for each in lines(path)] == ["POST /v1/resume"]


def test_a_disk_that_takes_nothing_is_counted_and_stops_nobody(tmp_path: Path) -> None:
    before = metrics.AUDIT_LOST._value.get()
    AuditLog(str(tmp_path / "no" / "folder"), "gateway").act(ANN, "POST /v1/pause", "")
    assert metrics.AUDIT_LOST._value.get() == before + 1


def test_lines_go_to_the_standard_output_where_they_are_collected(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    AuditLog("stdout", "gateway").act(ANN, "POST /v1/pause", "10.0.0.7")
    out = capfdbinary.readouterr().out
    assert msgspec.json.decode(out)["who"] == "ann"
