"""A stack of its own in a folder of its own, whose processes may be killed and started again."""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

import psutil

from deploy.config import secrets
from deploy.config.settings import Config
from deploy.config.settings import load as load_config
from deploy.config.toml import dump
from deploy.stack import ports, processes
from deploy.stack.launch import Launch, Member, bring_down
from deploy.stack.lifecycle import members
from tests.serving.support.log_records import VERSIONS, Records
from tests.support.waiting import wait

Settings = Mapping[str, Mapping[str, object]]


class Place:
    """`settings`: sections of homeostat.toml, beside the ports and the folder that the place itself chooses."""

    def __init__(self, folder: Path, settings: Settings | None = None, engines: int = 1) -> None:
        broker, gateway, admin, controller, *others = ports.free(4 + engines)
        own = {
            "var": str(folder),
            "kafka_port": broker,
            "gateway_port": gateway,
            "gateway_admin_port": admin,
            "controller_metrics_port": controller,
            "engine_ports": others,
        }
        asked = dict(settings or {})
        if not asked.get("stack", {}).get("embedded_kafka", True):
            del own["kafka_port"]
        self.folder, self.path = folder, folder / "homeostat.toml"
        self.path.write_text(dump({**asked, "stack": {**asked.get("stack", {}), **own}}))
        self.config: Config = load_config(self.path, {})
        self.members = {member.name: member for member in members(self.config, self.path)}
        self.records = Records(self.config)
        self._orphans: list[psutil.Process] = []

    @contextmanager
    def running(self, *names: str) -> Iterator[Self]:
        """Those processes, in the order of their needs; everything is stopped afterwards."""
        try:
            self.start(*names)
            yield self
        finally:
            self.records.close()
            bring_down(list(self.members), self.folder)
            for process in self._orphans:
                with suppress(psutil.Error):
                    process.kill()

    def instant(self, replica: int = 0) -> None:
        """That replica shall be an engine that answers at once."""
        name, port = f"engine-{replica}", self.config.stack.engine_ports[replica]
        command = (sys.executable, "-m", "tests.serving.support.upstream", str(port), *VERSIONS)
        spec = processes.Spec(name, command, partial(ports.answers, port))
        self.members[name] = Member(name, lambda: spec, spec.ready)

    def start(self, *names: str, within_s: float | None = None) -> None:
        """Returns once all of them are ready; ProcessFailed where one is not within the time, and is stopped again."""
        chosen = [_hurried(self.members[name], within_s) for name in names]
        Launch([replace(m, after=tuple(set(m.after) & set(names))) for m in chosen], self.folder).run(poll_s=0.02)

    def stop(self, name: str) -> None:
        """Tells it to end, and waits."""
        child = processes.remembered(name, self.folder)
        if child is not None:
            processes.stop(child, self.folder)

    def kill(self, name: str, *, whole: bool = False) -> float:
        """`kill -9` to the process; `whole`: and to all that it has started, as when a container dies. Returns when,
        on the clock of `time.monotonic`."""
        child = self.process(name)
        family = child.children(recursive=True)
        now_s = time.monotonic()
        for process in (child, *(family if whole else ())):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self._orphans += family
        wait(lambda: _gone(child), f"{name} is gone")
        return now_s

    def process(self, name: str) -> psutil.Process:
        """LookupError where it does not run."""
        child = processes.find(name, self.folder)
        if child is None:
            raise LookupError(f"{name} does not run; its log: {processes.log_file(self.folder, name)}")
        return psutil.Process(child.pid)

    @property
    def port(self) -> int:
        """Where clients go."""
        return self.config.stack.gateway_port

    @property
    def key(self) -> str:
        """The API key that clients have."""
        return secrets.api_key(self.config)

    def ready(self) -> bool:
        """Whether each gateway has somebody to ask for every alias."""
        stack = self.config.stack
        return all(map(_ready, (stack.gateway_admin_port, *stack.more_gateway_admin_ports)))


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


@contextmanager
def instant(folder: Path, settings: Settings | None = None) -> Iterator[Place]:
    """A broker, an engine that answers at once, and a gateway that is ready."""
    place = Place(folder, settings)
    place.instant()
    with place.running("kafka", "engine-0", "gateway"):
        place.records.attest()
        place.records.route(VERSIONS[0], VERSIONS[1])
        wait(place.ready, "the gateway is ready")
        yield place


def _hurried(member: Member, within_s: float | None) -> Member:
    if within_s is None:
        return member
    return replace(member, prepare=lambda: replace(member.prepare(), timeout_s=within_s))


def _gone(process: psutil.Process) -> bool:
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return not process.is_running()
