"""What an overlay comes to, by `kubectl kustomize`: objects as plain tables, and what tests ask of them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploy.config.settings import Config, load

Json = dict[str, Any]
FOLDER = Path(__file__).parents[3] / "deploy" / "kubernetes"
OVERLAYS = ("minimal", "eks", "gke")
COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True)
class Pod:
    """A pod's template, by what makes such pods."""

    kind: str
    name: str
    labels: Mapping[str, str]
    spec: Json
    claims: tuple[str, ...]  # volumes that each pod has of its own

    @property
    def role(self) -> str:
        return self.labels[COMPONENT]

    @property
    def own(self) -> Json:
        """The container of ours."""
        return next(each for each in self.containers if each["name"] == "homeostat")

    @property
    def containers(self) -> list[Json]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def volumes(self) -> set[str]:
        return {each["name"] for each in self.spec["volumes"]} | set(self.claims)

    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


@dataclass(frozen=True)
class Rendered:
    """All objects of an overlay."""

    name: str
    objects: tuple[Json, ...]

    def of(self, *kinds: str) -> list[Json]:
        return [each for each in self.objects if each["kind"] in kinds]

    def one(self, kind: str, name: str) -> Json:
        (found,) = (each for each in self.of(kind) if each["metadata"]["name"] == name)
        return found

    def pods(self) -> list[Pod]:
        return [pod(each) for each in self.of("Deployment", "StatefulSet", "CronJob")]

    def pod(self, role: str) -> Pod:
        (found,) = (each for each in self.pods() if each.role == role)
        return found

    def data(self, name: str) -> Json:
        """The content of a ConfigMap, with or without the hash behind its name."""
        (found,) = (each for each in self.of("ConfigMap") if each["metadata"]["name"].startswith(name))
        return dict(found["data"])

    def environment(self, container: Json, pod_name: str = "pod-0") -> dict[str, str]:
        """What a container's variables are, those of Secrets aside."""
        found: dict[str, str] = {}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                found |= self.data(source["configMapRef"]["name"])
        for each in container.get("env", []):
            value = each.get("value", pod_name if "valueFrom" in each else "")
            found[each["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value)
        return found

    def config(self, role: str, folder: Path) -> Config:
        """The configuration of a role, from the file and the variables that its container has."""
        path = folder / "homeostat.toml"
        path.write_text(self.data("homeostat-config")["homeostat.toml"])
        return load(path, self.environment(self.pod(role).own, f"{role}-0"))


def pod(owner: Json) -> Pod:
    spec = owner["spec"]["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else owner["spec"]
    template, claims = spec["template"], spec.get("volumeClaimTemplates", [])
    names = tuple(each["metadata"]["name"] for each in claims)
    return Pod(owner["kind"], owner["metadata"]["name"], template["metadata"]["labels"], template["spec"], names)


@cache
def rendered(overlay: str) -> Rendered:
    done = subprocess.run(
        ["kubectl", "kustomize", str(FOLDER / "overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return Rendered(overlay, tuple(yaml.load_all(done.stdout, yaml.CSafeLoader)))


def matches(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a selector, of a Service or with matchLabels and matchExpressions, fits labels; an empty one fits all."""
    plain = not {"matchLabels", "matchExpressions"} & selector.keys()
    wanted = selector if plain else selector.get("matchLabels", {})
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        _fits(each, labels) for each in selector.get("matchExpressions", [])
    )


def _fits(expression: Json, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    if expression["operator"] == "Exists":
        return value is not None
    assert expression["operator"] == "In", expression
    return value in expression["values"]


def named_secrets(found: Json | list[Any]) -> Iterator[str]:
    """Every Secret that an object names."""
    if isinstance(found, list):
        for each in found:
            if isinstance(each, dict | list):
                yield from named_secrets(each)
        return
    for key, value in found.items():
        if key == "secretName":
            yield value
        elif key in ("secretRef", "secretKeyRef"):
            yield value["name"]
        elif isinstance(value, dict | list):
            yield from named_secrets(value)
