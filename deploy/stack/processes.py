"""Child processes that outlive the command that started them: they are started, found again, and stopped.

State is one file per process, `var/run/<name>.json`; output goes to `var/log/<name>.log`. A process is known by its
pid and its start time together, so that a recycled pid is never taken for ours, and never killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

from monitor.canonical import UNREADABLE
from streams.files import UMASK, private_folder, private_opener, put, try_lock

# The processes of a stack import the same libraries, gigabytes of them: the next need not compile them again.
SHARED_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}


class ProcessFailed(RuntimeError):
    """A process ended before it was ready, or never became ready; the message ends with its last log lines."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A command to run, and the check that it is ready. `environment` is added to ours."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[], bool] = lambda: True
    timeout_s: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None  # working directory; None: ours
    grace_s: float = 10.0  # from SIGTERM to SIGKILL
    holds: Path | None = None  # a file whose lock the process has until it ends: nobody else uses what is around it


class Child(msgspec.Struct, frozen=True):
    """A process that was started, as `var/run/<name>.json` holds it."""

    name: str
    pid: int
    started: float  # its start time as the system counts it, see `start_time`
    command: tuple[str, ...]
    grace_s: float = 10.0


def start(spec: Spec, var: Path) -> Child:
    """Start it in a session of its own, detached from the terminal. It may not be ready yet. Raise ProcessFailed where
    another process has the lock that it is to hold, OSError where it cannot be remembered: then none is left."""
    log = log_file(var, spec.name)
    private_folder(log.parent)
    with open(log, "ab", opener=private_opener) as output, _lock(spec) as held:
        process = subprocess.Popen(
            spec.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=spec.folder,
            env={**os.environ, **SHARED_BYTECODE, **spec.environment},
            start_new_session=True,
            umask=UMASK,
            pass_fds=held,
        )
    child = Child(spec.name, process.pid, start_time(process.pid) or 0.0, spec.command, spec.grace_s)
    try:
        put(state_file(var, spec.name), msgspec.json.encode(child))
    except OSError:  # a full disk: a process that no `down` would find must not stay
        process.kill()
        process.wait()
        raise
    return child


@contextlib.contextmanager
def _lock(spec: Spec) -> Iterator[tuple[int, ...]]:
    """The open file that the process inherits, and with it the lock, which the system takes back when it ends."""
    if spec.holds is None:
        yield ()
        return
    private_folder(spec.holds.parent)
    lock = try_lock(spec.holds)
    if lock is None:
        raise ProcessFailed(f"{spec.name} is not started: another process holds {spec.holds}; stop that one first")
    with lock:
        yield (lock.fileno(),)


def wait_ready(spec: Spec, child: Child, var: Path, poll_s: float = 0.1) -> float:
    """Wait until `spec.ready()`. Return the seconds; raise ProcessFailed when it dies first or takes too long."""
    began = time.monotonic()
    while not is_ready(spec, child, var, time.monotonic() - began):
        time.sleep(poll_s)
    return time.monotonic() - began


def is_ready(spec: Spec, child: Child, var: Path, waited_s: float) -> bool:
    """Check that it is ready now. Raise ProcessFailed when it has died, or is not ready after `spec.timeout_s`."""
    ready = spec.ready()
    if not alive(child):
        raise ProcessFailed(f"{spec.name} ended {waited_s:.0f} s after its start{_log_tail(var, spec.name)}")
    if not ready and waited_s > spec.timeout_s:
        raise ProcessFailed(f"{spec.name} was not ready within {spec.timeout_s:g} s{_log_tail(var, spec.name)}")
    return ready


def find(name: str, var: Path) -> Child | None:
    """Return the process of that name if it is still alive; remove a state file without its process."""
    child = remembered(name, var)
    if child is None or alive(child):
        return child
    if not _group(child):
        state_file(var, name).unlink(missing_ok=True)
    return None


def remembered(name: str, var: Path) -> Child | None:
    """Return the process of the state file, alive or not."""
    try:
        return msgspec.json.decode(state_file(var, name).read_bytes(), type=Child)
    except (FileNotFoundError, *UNREADABLE):
        return None


def names(var: Path) -> list[str]:
    """List every process that has a state file."""
    return sorted(path.stem for path in (var / "run").glob("*.json"))


def alive(child: Child) -> bool:
    """Check that this very process runs, or any thread of it: its ports, say, are free only after the last one."""
    return start_time(child.pid) == child.started and _runs(child.pid)


def stop(child: Child, var: Path) -> bool:
    """Send SIGTERM to the process, and after `grace_s` SIGKILL to the rest of its group. Return False if it was gone.

    Another process with the same pid is never touched."""
    was_alive = alive(child)
    if was_alive:
        _signal(child.pid, signal.SIGTERM)
        _wait_gone(child, child.grace_s)
    _kill(_group(child))
    _reap(child.pid)
    state_file(var, child.name).unlink(missing_ok=True)
    return was_alive


def memory_bytes(child: Child) -> int:
    """Return the resident memory of the process and its children; 0 when it is gone."""
    if not alive(child):
        return 0
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(child.pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return total


def start_time(pid: int) -> float | None:
    """Return the start of the process, in a unit that only serves comparison: the kernel's own count where there is
    one, because the wall clock may be set while a stack runs. None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return float(fields[19])
    except (OSError, IndexError):
        pass
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def tail(var: Path, name: str, lines: int = 15) -> list[str]:
    """Return the last lines of its log, without the frames of Java's stack traces: they would hide the message."""
    try:
        with log_file(var, name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65_536))
            text = log.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")][-lines:]


def log_file(var: Path, name: str) -> Path:
    """Return the path of its log."""
    return var / "log" / f"{name}.log"


def state_file(var: Path, name: str) -> Path:
    """Return the path of its state file."""
    return var / "run" / f"{name}.json"


def _log_tail(var: Path, name: str) -> str:
    lines = tail(var, name)
    return f"; {log_file(var, name)} ends with:\n" + "\n".join(f"  | {line}" for line in lines) if lines else ""


def _wait_gone(child: Child, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while alive(child) and time.monotonic() < deadline:
        _reap(child.pid)
        time.sleep(0.05)


def _group(child: Child) -> list[psutil.Process]:
    """Return the living members of the process's group. A group's number is not reused while it has members, so a
    leader that started at another time means that the group is another one."""
    if start_time(child.pid) not in (None, child.started):
        return []
    return [p for p in psutil.process_iter() if _group_of(p.pid) == child.pid and _runs(p.pid)]


def _runs(pid: int) -> bool:
    """Check that it runs. A zombie does not, unless only its first thread is one, as in a process that dies."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.Error:
        return False


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
