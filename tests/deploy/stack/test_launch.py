"""Many processes: in the order of their needs, all or none, and only our own."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.stack import ports, processes
from deploy.stack.launch import Launch, Member, ProcessState, alone, bring_down
from deploy.stack.processes import ProcessFailed, Spec

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"


class Told:
    """A report that remembers."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, ProcessState]] = []

    def __call__(self, name: str, state: ProcessState, detail: str) -> None:
        if state != ProcessState.WAITING:
            self.lines.append((name, state))


def member(name: str, var: Path, code: str = SLEEPS, after: tuple[str, ...] = (), **more: Any) -> Member:
    said = processes.log_file(var, name)
    ready = lambda: said.exists() and "up" in said.read_text()  # noqa: E731
    spec = Spec(name, (sys.executable, "-c", code), ready, 20)
    return Member(name, lambda: spec, ready, after=after, **more)


@pytest.mark.slow
def test_needs_come_first_and_a_second_launch_starts_nothing(tmp_path: Path) -> None:
    told, then = Told(), []
    stack = [
        member("gateway", tmp_path, after=("kafka",)),
        member("kafka", tmp_path, then=lambda: then.append(told.lines[-1])),
    ]
    try:
        assert Launch(stack, tmp_path, told).run() == ["kafka", "gateway"]
        assert told.lines.index(("kafka", ProcessState.READY)) < told.lines.index(("gateway", ProcessState.STARTING))
        assert then == [("kafka", ProcessState.STARTING)]
        again = Told()
        assert Launch(stack, tmp_path, again).run() == []
        assert sorted(again.lines) == [("gateway", ProcessState.RUNNING), ("kafka", ProcessState.RUNNING)]
    finally:
        stopped = bring_down(["kafka", "gateway"], tmp_path)
    assert stopped == ["gateway", "kafka"]


@pytest.mark.slow
def test_a_failure_stops_what_this_launch_started_and_nothing_else(tmp_path: Path) -> None:
    running = member("kafka", tmp_path)
    Launch([running], tmp_path).run()
    bad = member("gateway", tmp_path, code="raise SystemExit('bad key')")
    with pytest.raises(ProcessFailed, match=r"(?s)gateway ended .*bad key"):
        Launch([running, member("worker", tmp_path), bad], tmp_path).run()
    assert processes.names(tmp_path) == ["kafka"]
    assert bring_down(["kafka"], tmp_path) == ["kafka"]


def test_a_taken_port_stops_everything_before_it_starts(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        stack = [member("kafka", tmp_path), member("gateway", tmp_path, ports=(("stack.gateway_port", port),))]
        with pytest.raises(ports.PortTaken, match=r"stack\.gateway_port"):
            Launch(stack, tmp_path).run()
    assert processes.names(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Launch([member("kafka", tmp_path, then=interrupted)], tmp_path).run()
    assert processes.names(tmp_path) == []


@pytest.mark.slow
def test_down_also_stops_what_an_older_configuration_started(tmp_path: Path) -> None:
    Launch([member("engine-7", tmp_path), member("kafka", tmp_path)], tmp_path).run()
    assert bring_down(["kafka"], tmp_path) == ["engine-7", "kafka"]


def test_only_one_up_at_a_time(tmp_path: Path) -> None:
    with (
        alone(tmp_path),
        pytest.raises(RuntimeError, match="another `homeostat up` or `down` is at work"),
        alone(tmp_path),
    ):
        pass
