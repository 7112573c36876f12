"""Each setting is described, can come from the environment, and stands in what `homeostat config` prints."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.config.parse import build
from deploy.config.reference import Setting, sections
from deploy.config.settings import Config, load
from deploy.config.template import template
from deploy.config.toml import literal
from monitor.settings import BurnWindow

SETTINGS = [setting for section in sections() for setting in section.settings]
JUDGES = {"support": {"rubric": "tone.md", "url": "http://judge.test/v1", "model": "judge", "share": 0.2}}
HEADS = {"x-tenant": "tenant"}
WINDOWS = (BurnWindow(long_s=60, short_s=5, rate=2.0),)
OTHERS: dict[str, tuple[str, object]] = {  # those of which not every value of their type is one: as text, as read
    "stack.bind": ("0.0.0.0", "0.0.0.0"),
    "stack.device": ("cpu", "cpu"),
    "stack.max_lora_rank": ("32", 32),
    "stack.engine_ports": ("8005, 8006", (8005, 8006)),
    "kafka.options": ('{"retries": 3, "api_version": [2, 6]}', {"retries": 3, "api_version": [2, 6]}),
    "kafka.partitions": ('{"loop.ledger": 3}', {"loop.ledger": 3}),
    "kafka.security.protocol": ("SSL", "SSL"),
    "kafka.security.sasl_mechanism": ("OAUTHBEARER", "OAUTHBEARER"),
    "kafka.security.token_command": ('["token", "region"]', ("token", "region")),
    "gateway.tag_headers": (json.dumps(HEADS), HEADS),
    "scoring.metrics": ('{"support": "token_f1"}', {"support": "token_f1"}),
    "scoring.judges": (json.dumps(JUDGES), JUDGES),
    "gateway.mask": ("email", ("email",)),
    "gateway.audit_share": ("0.05", 0.05),
    "gateway.phone_country": ("49", "49"),
    "labels.sources": ('{"crm": "complete"}', {"crm": "complete"}),
    "gateway.fsync": ("never", "never"),
    "policy.approvals": ("2", 2),
    "policy.mode": ("observe", "observe"),
    "admin.url": ("https://ops.example", "https://ops.example"),
    "admin.token_command": ("print-token, --quiet", ("print-token", "--quiet")),
    "gateway.default_key": ("true", True),
    "secrets.signing_key_files": ("/new.key, /old.key", (Path("/new.key"), Path("/old.key"))),
    "oidc.issuer": ("https://idp.example", "https://idp.example"),
    "oidc.algorithms": ("EdDSA, PS256", ("EdDSA", "PS256")),
    "oidc.groups": ('{"ops": ["admin"]}', {"ops": ("admin",)}),
    "labels.overlap_share": ("0.2", 0.2),
    "retrain.consent": ('{"licence": ["own"]}', {"licence": ("own",)}),
    "retrain.pii.kinds": ("email", ("email",)),
    "retrain.synthetic.max_share": ("0.5", 0.5),
    "retrain.synthetic.url": ("https://models.example/v1", "https://models.example/v1"),
    "retrain.synthetic.body": ('{"max_completion_tokens": 900}', {"max_completion_tokens": 900}),
    "monitor.policy_patterns": (r'{"acme": "\\bacme\\b"}', {"acme": r"\bacme\b"}),
    "monitor.slo.burn_windows": (json.dumps([asdict(each) for each in WINDOWS]), WINDOWS),
    "monitor.fairness.keys": ("tenant", ("tenant",)),
    "gateway.shadow_share": ("0.5", 0.5),
    "monitor.versions_kept": ("4", 4),
    "monitor.baseline_confidence": ("0.95", 0.95),
    "monitor.safety.confidence": ("0.95", 0.95),
    "worker.session_timeout_s": ("7.5", 7.5),
    "storage.url": ("s3://bucket/prefix", "s3://bucket/prefix"),
    "storage.pages": ("https://reports.example", "https://reports.example"),
    "storage.options": ('{"region": "eu-west-1"}', {"region": "eu-west-1"}),
    "storage.old_files_h": ("12", 12),
    "retrain.engine_dtype": ("bfloat16", "bfloat16"),
    "retrain.max_length_ratio": ("1.5", 1.5),
    "retrain.max_latency_ratio": ("1.5", 1.5),
    "retrain.max_swapped_gap": ("0.5", 0.5),
    "retrain.business_metric": ("token_f1", "token_f1"),
    "retrain.backend": ("trl", "trl"),
    "retrain.own_engine": ("never", "never"),
    "retrain.champion_model": ("/models/before", "/models/before"),
    "retrain.champion_engine": ("http://before:8001", "http://before:8001"),
    "retrain.command": ('["train", "{manifest}"]', ("train", "{manifest}")),
    "retrain.command_environment": ("HF_TOKEN", ("HF_TOKEN",)),
    "retrain.runner": ("kubernetes", "kubernetes"),
    "retrain.kubernetes.var": ("/elsewhere", "/elsewhere"),
    "retrain.secrets": ('{"HF_TOKEN": "env:TEAM_TOKEN"}', {"HF_TOKEN": "env:TEAM_TOKEN"}),
    "replica.engine": ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
    "replica.address": ("http://vllm-0:8200", "http://vllm-0:8200"),
    "logs.format": ("json", "json"),
    "traces.endpoint": ("http://collector:4318", "http://collector:4318"),
    "traces.share": ("0.5", 0.5),
    "gateway.cors_origins": ("https://app.example, *", ("https://app.example", "*")),
}
TOGETHER: dict[str, dict[str, str]] = {  # what another setting must be, for this one to be anything else
    "retrain.champion_model": {"retrain.champion_engine": "http://before:8001"},
    "retrain.champion_engine": {"retrain.champion_model": "/models/before"},
    "kafka.security.sasl_mechanism": {"kafka.security.token_command": "token"},
    "kafka.security.token_command": {"kafka.security.sasl_mechanism": "OAUTHBEARER"},
    "kafka.security.username_file": {"kafka.security.sasl_mechanism": "PLAIN", "kafka.security.password_file": "/p"},
    "kafka.security.password_file": {"kafka.security.sasl_mechanism": "PLAIN", "kafka.security.username_file": "/u"},
    "kafka.security.cert": {"kafka.security.key": "/key.pem"},
    "kafka.security.key": {"kafka.security.cert": "/cert.pem"},
    "gateway.tls_cert": {"gateway.tls_key": "/key.pem"},
    "gateway.tls_key": {"gateway.tls_cert": "/cert.pem"},
    "replica.tls_cert": {"replica.tls_key": "/key.pem"},
    "replica.tls_key": {"replica.tls_cert": "/cert.pem"},
    "replica.client_ca": {"replica.tls_cert": "/cert.pem", "replica.tls_key": "/key.pem"},
    "admin.tls_cert": {"admin.tls_key": "/key.pem"},
    "admin.tls_key": {"admin.tls_cert": "/cert.pem"},
    "controller.max_loras": {"stack.max_loras": "6"},
    "controller.max_lora_rank": {"stack.max_lora_rank": "32"},
    "retrain.max_lora_rank": {"stack.max_lora_rank": "32"},
    "monitor.late_labels_s": {"labels.wait_s": "3600"},
    "kafka.bootstrap": {"stack.embedded_kafka": "false"},
    "retrain.command": {"retrain.backend": "command"},
    "retrain.command_environment": {"retrain.backend": "command", "retrain.command": "train, {manifest}"},
    "retrain.packing": {"retrain.backend": "trl"},
    "retrain.synthetic.url": {"retrain.synthetic.model": "writer"},
    "retrain.max_swapped_gap": {"retrain.fairness_file": "terms.toml"},
    "retrain.runner": {"storage.url": "s3://bucket"},
    "storage.cache": {"storage.url": "s3://bucket"},
    "secrets.signing_key_files": {"secrets.mask_key_file": "/mask.key"},
    "oidc.issuer": {"oidc.audience": "homeostat", "oidc.groups": '{"ops": ["admin"]}'},
    "storage.pages": {"storage.url": "s3://bucket"},
    "storage.options": {"storage.url": "s3://bucket"},
}
OWN_BROKERS = {"stack.embedded_kafka": "false"}
DECIDED: dict[str, tuple[str, object]] = {
    "controller.max_loras": ("6", 6),
    "controller.max_lora_rank": ("32", 32),
    "retrain.max_lora_rank": ("32", 32),
    "monitor.late_labels_s": ("3600", 3_600),
    "kafka.bootstrap": ("broker:9092", "broker:9092"),
}
PRINTED = template()
VARIABLES = {setting.key: setting.variable for setting in SETTINGS}


def other(setting: Setting) -> tuple[str, object]:
    """A value that is not the default: as a variable's text, and as it is read."""
    if setting.key in OTHERS or setting.key in DECIDED:
        return {**OTHERS, **DECIDED}[setting.key]
    default = setting.default
    if isinstance(default, bool):
        return str(not default).lower(), not default
    if isinstance(default, int):
        return str(default + 90), default + 90
    if isinstance(default, float):
        return str(default * 1.25 or 1.0), default * 1.25 or 1.0
    if "path" in setting.kind:
        return "/elsewhere", Path("/elsewhere")
    if isinstance(default, tuple):
        return "9111, 9112", (9111, 9112)
    return ("12.5", 12.5) if default is None else ("elsewhere", "elsewhere")


def found(config: object, key: str) -> object:
    for name in key.split("."):
        config = getattr(config, name)
    return config


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.key)
def test_every_setting_can_come_from_the_environment(setting: Setting) -> None:
    text, expected = other(setting)
    together = OWN_BROKERS if setting.key.startswith("kafka.security.") else {}
    others = {VARIABLES[key]: value for key, value in {**together, **TOGETHER.get(setting.key, {})}.items()}
    read = found(load(None, {setting.variable: text, **others}), setting.key)
    assert read == expected != setting.default


def test_every_setting_says_what_it_does() -> None:
    assert [each.key for each in SETTINGS if not each.about] == [], "write a comment at the setting's line"


def test_what_is_printed_reads_back_as_the_defaults() -> None:
    done = CliRunner().invoke(main, ["config"])
    assert (done.exit_code, done.stdout) == (0, PRINTED)
    assert build(Config, tomllib.loads(done.stdout), "printed") == Config()


def test_it_is_a_file_that_commands_take(tmp_path: Path) -> None:
    (tmp_path / "homeostat.toml").write_text(PRINTED)
    assert load(tmp_path / "homeostat.toml", {}) == load(None, {})


def test_every_setting_is_printed() -> None:
    assert [each.key for each in SETTINGS if printed(each) != 1] == []


def printed(setting: Setting) -> int:
    """How often a setting stands in its table."""
    section, _, name = setting.key.rpartition(".")
    table = PRINTED.split(f"\n[{section}]\n")[1].split("\n[")[0].split("\n# [")[0]
    return sum(line.removeprefix("# ").startswith(f"{name} =") for line in table.splitlines())


def test_a_value_is_written_as_it_is_read() -> None:
    values = {each.key: each.default for each in SETTINGS if each.default is not None}
    read = {key: tomllib.loads(f"value = {literal(value)}")["value"] for key, value in values.items()}
    assert read == {key: plain(value) for key, value in values.items()}


def plain(value: Any) -> Any:
    """A value as TOML has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return os.fspath(value) if isinstance(value, Path) else value
