"""`deploy/compose.yaml` as a plain table: anchors and variables put in, as compose does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]
FOLDER = Path(__file__).parents[3] / "deploy"
KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
GIVEN = {"REPLICA_PUBLIC_KEY": KEY, "MODEL": "/srv/model", "MLFLOW_IMAGE": "mlflow"}
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")


def composed() -> Json:
    """Variables take their default, where they have one."""

    def value(found: re.Match[str]) -> str:
        return GIVEN.get(found[1], found[2] or "")

    read: Json = yaml.safe_load(VARIABLE.sub(value, (FOLDER / "compose.yaml").read_text()))
    return read


def ours() -> dict[str, Json]:
    """Services that run in our images."""
    return {name: each for name, each in composed()["services"].items() if "homeostat-" in each["image"]}


def role_of(service: Json) -> str:
    """The role that a service runs: its command's, else its image's own."""
    command = service.get("command", ["run", service["image"].removeprefix("homeostat-").removesuffix("-cpu")])
    return str(command[1]) if command[0] == "run" else ""
