"""The log of a process, as a program that collects logs reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
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
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
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


UNWRITTEN = """
import sys, threading, structlog
from streams.telemetry import metrics
from streams.telemetry.logs import set_up_logs
set_up_logs(FORMAT, "gateway", "pod-1")
log = structlog.get_logger()
log.error("events lost", reason="disk")
thread = threading.Thread(target=lambda: (log.error("trouble"), print("the thread goes on")))
thread.start(); thread.join()
print(metrics.LOG_LINES_LOST._value.get(), "lost")
"""


@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("taken_by", ["a full disk", "a pipe that nobody reads"])
def test_a_log_that_takes_nothing_fails_nobody(format: str, taken_by: str) -> None:
    """Else a reply whose event found no room would be a 500, and threads would end of what they report."""
    stderr = os.open("/dev/full", os.O_WRONLY) if taken_by == "a full disk" else _unread()
    command = [sys.executable, "-c", UNWRITTEN.replace("FORMAT", repr(format))]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr, text=True, check=False)
    os.close(stderr)
    assert done.stdout.splitlines() == ["the thread goes on", "2.0 lost"]


def _unread() -> int:
    read, write = os.pipe()
    os.close(read)
    return write


MANY = """
import structlog
from streams.telemetry import metrics
from streams.telemetry.logs import set_up_logs
set_up_logs()
for number in range(200):
    structlog.get_logger().error("trouble", number=number, why="x" * 1_000)
print(metrics.LOG_LINES_LOST._value.get())
"""


def test_a_reader_that_stands_still_stops_nobody_and_gets_the_lines_that_had_room() -> None:
    """A gateway waited for it with all its requests, once 64 KiB were full."""
    read, write = os.pipe()
    command = [sys.executable, "-c", MANY]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=write, text=True, check=True, timeout=60)
    os.close(write)
    with os.fdopen(read) as pipe:
        lines = pipe.read().splitlines()
    assert len(lines) > 20
    assert [f"number={number} " in line for number, line in enumerate(lines)] == [True] * len(lines)
    assert len(lines) + float(done.stdout) == 200
