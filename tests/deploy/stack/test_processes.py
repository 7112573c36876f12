"""Children that outlive their command: found again, stopped whole, never mistaken for somebody else's."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from deploy.stack import ports, processes
from deploy.stack.processes import Child, ProcessFailed, Spec
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

SLEEPS = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); time.sleep(60)"

DYING = """
import ctypes, socket, threading, time
held = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print("up", held.getsockname()[1], flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def spec(code: str, var: Path, name: str = "child", **more: Any) -> Spec:
    said = processes.log_file(var, name)
    ready = lambda: said.exists() and "up" in said.read_text()  # noqa: E731
    return Spec(name, (sys.executable, "-c", code), ready, **more)


def started(code: str, var: Path, **more: Any) -> Child:
    wanted = spec(code, var, **more)
    child = processes.start(wanted, var)
    processes.wait_ready(wanted, child, var)
    return child


def test_a_child_is_detached_logged_found_again_and_stopped(tmp_path: Path) -> None:
    child = started(SLEEPS, tmp_path)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    assert processes.tail(tmp_path, "child") == ["up"]
    assert processes.find("child", tmp_path) == child
    assert processes.memory_bytes(child) > 1_000_000
    assert processes.stop(child, tmp_path)
    assert not psutil.pid_exists(child.pid)
    assert processes.find("child", tmp_path) is None
    assert processes.names(tmp_path) == []
    assert processes.memory_bytes(child) == 0


def test_what_cannot_be_remembered_is_not_left_behind(tmp_path: Path) -> None:
    """As on a full disk: it would hold its ports, and no `homeostat down` would find it."""
    (tmp_path / "run").write_text("in the way")
    before = psutil.Process().children()
    with pytest.raises(OSError, match="run"):
        processes.start(spec(SLEEPS, tmp_path), tmp_path)
    assert psutil.Process().children() == before


def test_what_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    child = started(STUBBORN, tmp_path, grace_s=0.3)
    began = time.monotonic()
    assert processes.stop(child, tmp_path)
    assert 0.3 <= time.monotonic() - began < 5
    assert not processes.alive(child)


def test_its_own_children_go_with_it(tmp_path: Path) -> None:
    child = started(PARENT, tmp_path)
    (below,) = psutil.Process(child.pid).children()
    processes.stop(child, tmp_path)
    wait(lambda: not below.is_running() or below.status() == psutil.STATUS_ZOMBIE)


def test_orphans_of_a_child_that_was_killed_are_cleared_away(tmp_path: Path) -> None:
    child = started(PARENT, tmp_path)
    (below,) = psutil.Process(child.pid).children()
    psutil.Process(child.pid).kill()
    wait(lambda: not processes.alive(child))
    assert processes.find("child", tmp_path) is None
    assert not processes.stop(child, tmp_path)
    wait(lambda: not below.is_running() or below.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a first thread is not told from its process")
def test_one_whose_first_thread_alone_is_dead_still_holds_its_port(tmp_path: Path) -> None:
    child = started(DYING, tmp_path)
    wait(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    port = int(processes.tail(tmp_path, "child")[-1].split()[1])
    assert ports.answers(port)
    assert processes.find("child", tmp_path) == child
    assert processes.stop(child, tmp_path)
    assert not ports.answers(port)


def test_a_recycled_pid_is_never_killed(tmp_path: Path) -> None:
    child = started(SLEEPS, tmp_path)
    try:
        mistaken = msgspec.structs.replace(child, started=child.started - 1)
        assert not processes.alive(mistaken)
        assert not processes.stop(mistaken, tmp_path)
        assert processes.alive(child)
    finally:
        processes.stop(child, tmp_path)


def test_an_early_death_shows_the_last_words(tmp_path: Path) -> None:
    wanted = spec("raise SystemExit('no such model')", tmp_path)
    child = processes.start(wanted, tmp_path)
    with pytest.raises(ProcessFailed, match=r"(?s)child ended .*child\.log ends with:\n  \| no such model"):
        processes.wait_ready(wanted, child, tmp_path)


def test_one_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    wanted = Spec("child", (sys.executable, "-c", SLEEPS), ready=lambda: False, timeout_s=0.3)
    child = processes.start(wanted, tmp_path)
    try:
        with pytest.raises(ProcessFailed, match=r"child was not ready within 0\.3 s"):
            processes.wait_ready(wanted, child, tmp_path)
    finally:
        processes.stop(child, tmp_path)


def test_one_that_died_while_something_else_answers_is_not_ready(tmp_path: Path) -> None:
    wanted = Spec("child", (sys.executable, "-c", "pass"), ready=lambda: True)
    child = processes.start(wanted, tmp_path)
    wait(lambda: not processes.alive(child))
    with pytest.raises(ProcessFailed, match="child ended"):
        processes.wait_ready(wanted, child, tmp_path)


def test_a_broken_state_file_is_nobody(tmp_path: Path) -> None:
    processes.state_file(tmp_path, "x").parent.mkdir()
    processes.state_file(tmp_path, "x").write_text("{")
    assert processes.find("x", tmp_path) is None


def test_frames_of_java_do_not_hide_the_message(tmp_path: Path) -> None:
    log = processes.log_file(tmp_path, "kafka")
    log.parent.mkdir()
    log.write_text("KafkaException: lock\n" + "\tat kafka.Kafka.main\n" * 50)
    assert processes.tail(tmp_path, "kafka") == ["KafkaException: lock"]


def test_a_lock_is_held_until_the_process_ends_whatever_becomes_of_its_starter(tmp_path: Path) -> None:
    lock = tmp_path / "data" / "lock"
    child = started(SLEEPS, tmp_path, holds=lock)
    with pytest.raises(ProcessFailed, match=r"second is not started: another process holds .*/data/lock; stop"):
        started(SLEEPS, tmp_path, name="second", holds=lock)
    os.kill(child.pid, 9)
    wait(lambda: not processes.alive(child))
    processes.stop(started(SLEEPS, tmp_path, name="second", holds=lock), tmp_path)
