"""The start of a set of processes in the order of their needs, in parallel where they are independent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deploy.stack import ports, processes
from deploy.stack.processes import Child, ProcessFailed, Spec
from streams.files import try_lock


class ProcessState(StrEnum):
    """The state of a process, as `Report` takes it."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RUNNING = "already running"
    FAILED = "failed"
    STOPPED = "stopped"


Report = Callable[[str, ProcessState, str], None]  # name, state, detail


def silent(name: str, progress: ProcessState, detail: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a stack. `prepare` makes its Spec when its turn comes (it may fetch, format or unpack);
    `then` runs once it is ready, before the processes that need it start."""

    name: str
    prepare: Callable[[], Spec]
    ready: Callable[[], bool]
    ports: tuple[tuple[str, int], ...] = ()  # configuration key and port
    after: tuple[str, ...] = ()
    timeout_s: float = 60.0
    then: Callable[[], object] = lambda: None


@dataclass(slots=True)
class _Going:
    child: Child
    spec: Spec
    since: float


class Launch:
    """One `up`: it starts the missing processes and waits for all; on any failure it stops those that it started."""

    def __init__(self, members: Sequence[Member], var: Path, report: Report = silent) -> None:
        self._members = {member.name: member for member in members}
        self._var = var
        self._report = report
        self._going: dict[str, _Going] = {}
        self._done: set[str] = set()
        self.started: list[Child] = []

    def run(self, poll_s: float = 0.1) -> list[str]:
        """Start, and return the names of the processes that were started. Raise the first failure."""
        try:
            self._check_ports()
            while len(self._done) < len(self._members):
                self._step()
                time.sleep(poll_s)
        except BaseException:
            self._undo()
            raise
        return [child.name for child in self.started]

    def _check_ports(self) -> None:
        for member in self._members.values():
            self._report(member.name, ProcessState.WAITING, "")
            if processes.find(member.name, self._var) is None:
                for key, port in member.ports:
                    ports.check(port, key)

    def _step(self) -> None:
        for name, member in self._members.items():
            if name in self._done:
                continue
            if name in self._going:
                self._watch(member, self._going[name])
            elif self._done.issuperset(member.after):
                self._begin(member)

    def _begin(self, member: Member) -> None:
        child = processes.find(member.name, self._var)
        if child is not None:
            spec = Spec(member.name, child.command, member.ready, member.timeout_s)
            self._going[member.name] = _Going(child, spec, time.monotonic())
            return
        self._report(member.name, ProcessState.STARTING, "")
        began = time.monotonic()
        spec = member.prepare()
        child = processes.start(spec, self._var)
        self.started.append(child)
        self._going[member.name] = _Going(child, spec, began)

    def _watch(self, member: Member, going: _Going) -> None:
        waited = time.monotonic() - going.since
        try:
            if not processes.is_ready(going.spec, going.child, self._var, waited):
                return
        except ProcessFailed as failure:
            self._report(member.name, ProcessState.FAILED, str(failure).partition("\n")[0])
            raise
        member.then()
        self._done.add(member.name)
        if going.child in self.started:
            self._report(member.name, ProcessState.READY, f"in {time.monotonic() - going.since:.1f} s")
        else:
            self._report(member.name, ProcessState.RUNNING, f"pid {going.child.pid}")

    def _undo(self) -> None:
        for child in reversed(self.started):
            processes.stop(child, self._var)
            self._report(child.name, ProcessState.STOPPED, "")


def bring_down(order: Sequence[str], var: Path, report: Report = silent) -> list[str]:
    """Stop every process that has a state file: first those that `order` lacks, then those of `order`, last to first.
    Return the names of those that were running."""
    known = processes.names(var)
    others = [name for name in known if name not in order]
    stopped = []
    for name in [*others, *(name for name in reversed(order) if name in known)]:
        child = processes.remembered(name, var)
        if child is not None and processes.stop(child, var):
            stopped.append(name)
            report(name, ProcessState.STOPPED, "")
    return stopped


@contextmanager
def alone(var: Path) -> Iterator[None]:
    """Allow one `up` or `down` at a time. Raise RuntimeError when another one is at work."""
    path = var / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    if (lock := try_lock(path)) is None:
        raise RuntimeError(f"another `homeostat up` or `down` is at work in {var}; wait for it")
    with lock:
        yield
