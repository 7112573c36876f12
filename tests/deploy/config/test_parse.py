"""The configuration: every problem at once, each with key, value and expectation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from deploy.config.parse import ConfigError, build, given, source
from deploy.config.settings import Config

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inner:
    port: int = 1
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share!r}, expected 0 to 1")


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "x"


def load(kind: type[T], path: Path | None, environment: Mapping[str, str]) -> T:
    return build(kind, given(kind, path, environment), source(path))


def written(folder: Path, text: str) -> Path:
    path = folder / "homeostat.toml"
    path.write_text(text)
    return path


VALUES = [
    ("STACK__MORE_GATEWAY_ADMIN_PORTS", "9111, 9112", ("stack", "more_gateway_admin_ports"), (9111, 9112)),
    ("STACK__MORE_GATEWAY_ADMIN_PORTS", "[9111, 9112]", ("stack", "more_gateway_admin_ports"), (9111, 9112)),
    ("STACK__MORE_GATEWAY_ADMIN_PORTS", "", ("stack", "more_gateway_admin_ports"), ()),
    ("STACK__ENGINE_PORTS", "8005", ("stack", "engine_ports"), (8005,)),
    ("STACK__MODEL", "none", ("stack", "model"), None),
    ("STACK__CACHE", "/cache", ("stack", "cache"), Path("/cache")),
    ("STACK__EMBEDDED_KAFKA", "false", ("stack", "embedded_kafka"), False),
    ("STACK__DEVICE", "cpu", ("stack", "device"), "cpu"),
    ("STACK__KV_CACHE_GB", "1.5", ("stack", "kv_cache_gb"), 1.5),
    ("GATEWAY__TLS_CERT", "null", ("gateway", "tls_cert"), None),
    ("SCORING__METRICS", '{"a": "token_f1"}', ("scoring", "metrics"), {"a": "token_f1"}),
    ("SCORING__METRICS__A", "token_f1", ("scoring", "metrics"), {"a": "token_f1"}),
    ("GATEWAY__MASK", "email", ("gateway", "mask"), ("email",)),
    ("MONITOR__SLO", '{"error_budget": 0.5}', ("monitor", "slo", "error_budget"), 0.5),
    ("MONITOR__SLO__ERROR_BUDGET", "0.5", ("monitor", "slo", "error_budget"), 0.5),
    ("MONITOR__FAIRNESS__KEYS", "tenant,language", ("monitor", "fairness", "keys"), ("tenant", "language")),
    ("KAFKA__OPTIONS__SSL_CHECK_HOSTNAME", "false", ("kafka", "options"), {"ssl_check_hostname": False}),
    ("KAFKA__OPTIONS__REQUEST_TIMEOUT_MS", "5000", ("kafka", "options"), {"request_timeout_ms": 5_000}),
    ("KAFKA__OPTIONS__SASL_PLAIN_PASSWORD", "12345", ("kafka", "options"), {"sasl_plain_password": "12345"}),
]


@pytest.mark.parametrize(("name", "text", "at", "expected"), VALUES, ids=[f"{each[0]}={each[1]}" for each in VALUES])
def test_every_kind_of_setting_can_come_from_the_environment(
    name: str, text: str, at: tuple[str, ...], expected: object
) -> None:
    found: object = load(Config, None, {f"HOMEOSTAT__{name}": text})
    for key in at:
        found = getattr(found, key)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("STACK__ENGINE_PORTS", "[8001", "HOMEOSTAT__STACK__ENGINE_PORTS: is not JSON .* expected a list"),
        ("STACK__ENGINE_PORTS", "8001,x", r"stack\.engine_ports\.1 = 'x'"),
        ("SCORING__METRICS", "token_f1", "HOMEOSTAT__SCORING__METRICS: is not JSON .* expected a table"),
        ("SCORING__METRICS", "[1]", r"HOMEOSTAT__SCORING__METRICS: is \[1\], expected a table"),
        ("STACK__VAR__DEEP", "x", "stack"),
        ("NO__SUCH", "1,2", "no: unknown key"),
    ],
)
def test_what_the_environment_says_wrongly_is_told_with_its_key(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load(Config, None, {f"HOMEOSTAT__{name}": text})


def test_a_table_of_the_environment_goes_over_the_files(tmp_path: Path) -> None:
    path = written(tmp_path, "[scoring.metrics]\na = 'rouge_l'\nb = 'token_f1'\n")
    settings = load(Config, path, {"HOMEOSTAT__SCORING__METRICS": '{"a": "token_f1"}'})
    assert settings.scoring.metrics == {"a": "token_f1", "b": "token_f1"}


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_what_editors_leave_in_a_file_is_no_problem(tmp_path: Path, mark: bytes, ending: str) -> None:
    path = tmp_path / "homeostat.toml"
    path.write_bytes(mark + ending.join(["name = 'a'", "[inner]", "port = 5", ""]).encode())
    assert load(Outer, path, {}) == Outer(Inner(port=5), "a")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_another_encoding_is_told_as_such(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "homeostat.toml"
    path.write_bytes(("\ufeff" if encoding == "utf-16-le" else "").encode(encoding) + "name = 'ä'".encode(encoding))
    with pytest.raises(ConfigError, match="save it as UTF-8"):
        load(Outer, path, {})


def test_defaults_need_no_file() -> None:
    assert load(Outer, None, {}) == Outer()


def test_file_and_environment_are_joined_and_the_environment_wins(tmp_path: Path) -> None:
    path = written(tmp_path, "name = 'a'\n[inner]\nport = 5\n")
    assert load(Outer, path, {"HOMEOSTAT__INNER__PORT": "7", "HOME": "/"}) == Outer(Inner(port=7), "a")


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "nmae = 1\nname = 3\n[inner]\nport = 'many'\nprot = 2\n")
    with pytest.raises(ConfigError) as raised:
        load(Outer, path, {})
    text = str(raised.value)
    for part in (
        str(path),
        "nmae: unknown key",
        "inner.prot: unknown key; expected one of port",
        "inner.port = 'many'",
    ):
        assert part in text
    assert "name = 3" in text


def test_a_value_out_of_range_names_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"share is 2\.0, expected 0 to 1"):
        load(Outer, written(tmp_path, "[inner]\nshare = 2.0\n"), {})


def test_the_operators_patterns_are_checked_where_they_are_written(tmp_path: Path) -> None:
    text = "[monitor.policy_patterns]\ncompetitor = '\\bacme\\b'\n"
    settings = load(Config, written(tmp_path, text), {"HOMEOSTAT__MONITOR__POLICY_PATTERNS__PROMISE": "guarantee"})
    assert settings.monitor.policy_patterns == {"competitor": r"\bacme\b", "promise": "guarantee"}
    with pytest.raises(ConfigError, match=r"policy_patterns\.hurry is 'now\.\*', which may take .* steps"):
        load(Config, written(tmp_path, text + "hurry = 'now.*'"), {})


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Outer, tmp_path / "none.toml", {})


def test_broken_toml_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not TOML: .*line 1"):
        load(Outer, written(tmp_path, "= 3"), {})


@pytest.mark.parametrize(
    ("said", "why"), [("", "is empty, expected a path"), (" ", "is empty"), ("~/var", "expected the path written out")]
)
@pytest.mark.parametrize("key", ["stack.var"])
def test_what_is_no_path_is_refused(tmp_path: Path, key: str, said: str, why: str) -> None:
    """An empty one was the folder that a process was started in, and in that one called ~ was made."""
    section, name = key.split(".")
    path = tmp_path / "homeostat.toml"
    path.write_text(f"[{section}]\n{name} = '{said}'\n")
    with pytest.raises(ConfigError, match=f"{key} = '{said}': .*{why}"):
        load(Config, path, {})
    with pytest.raises(ConfigError, match=f"{key} = '{said}': .*{why}"):
        load(Config, None, {f"HOMEOSTAT__{section}__{name}".upper(): said})


def test_a_name_of_digits_is_a_text() -> None:
    told = {f"HOMEOSTAT__KAFKA__OPTIONS__{name}": "4711" for name in ("SASL_PLAIN_USERNAME", "CLIENT_ID")}
    assert load(Config, None, told | {"HOMEOSTAT__KAFKA__OPTIONS__RETRIES": "3"}).kafka.options == {
        "sasl_plain_username": "4711",
        "client_id": "4711",
        "retries": 3,
    }
