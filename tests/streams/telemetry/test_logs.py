"""The log of a process, as a program that collects logs reads it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
PROGRAM = """
import logging, threading, structlog
from streams.telemetry.logs import set_up_logs
set_up_logs(FORMAT, "worker", "pod-1")
log = structlog.get_logger()
log.info("an event", alias="support", odd=object, name="another")
structlog.contextvars.bind_contextvars(trace_id="ab" * 16)
log.warning("within a trace")
logging.getLogger("aiokafka").warning("of a library: %s", "x")
logging.getLogger("aiokafka").info("not shown")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it failed")
thread = threading.Thread(target=lambda: [][1]); thread.start(); thread.join()
raise RuntimeError("the end\\nof it")
"""


def logged(format: str) -> tuple[str, str]:
    """What such a process writes to its standard error and output."""
    code = PROGRAM.replace("FORMAT", repr(format))
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr, done.stdout


def test_each_line_is_an_object_with_what_happened_and_where() -> None:
    text, output = logged("json")
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert output == ""
    events = ["an event", "within a trace", "of a library: x", "it failed", "not caught", "not caught"]
    assert [line["event"] for line in lines] == events
    levels = ["info", "warning", "warning", "error", "critical", "critical"]
    assert [line["level"] for line in lines] == levels
    assert {(line["role"], line["name"]) for line in lines} == {("worker", "pod-1")}
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert [line.get("trace_id") for line in lines[:3]] == [None, "ab" * 16, "ab" * 16]
    assert lines[0]["alias"] == "support"
    assert lines[2]["logger"] == "aiokafka"
    assert "ZeroDivisionError" in lines[3]["exception"]
    assert "IndexError" in lines[4]["error"]
    assert lines[5]["error"] == "RuntimeError: the end\nof it"
    assert list(lines[0])[:3] == ["timestamp", "level", "event"]


def test_text_is_for_people() -> None:
    text, _ = logged("text")
    assert "level='info' event='an event' alias='support'" in text
    assert "[WARNING] aiokafka: of a library: x" in text
    assert text.endswith("RuntimeError: the end\nof it\n")
