"""Settings that are taken have an effect: those that another one decides are refused, and each is read somewhere."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from deploy.config import secrets
from deploy.config.parse import ConfigError
from deploy.config.settings import Config, load
from monitor.settings import BurnWindow
from retrain.data.admission import tenant_keys

ROOT = Path(__file__).parents[3]
ROOMS = ("monitor", "streams", "serving", "retrain", "deploy")
KEY_FILES = {"new.key": "abcdefghijk", "old.key": "lmnopqrstuv", "mask.key": "wxyz0123456"}
DECIDED = {
    "controller.max_loras": ("9", "stack.max_loras"),
    "controller.max_lora_rank": ("64", "stack.max_lora_rank"),
    "retrain.max_lora_rank": ("64", "stack.max_lora_rank"),
    "monitor.late_labels_s": ("9999", "labels.wait_s"),
    "kafka.bootstrap": ("'broker:9092'", "stack.embedded_kafka"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / "homeostat.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("key", DECIDED)
def test_a_setting_that_another_one_decides_is_refused_with_that_one(key: str, tmp_path: Path) -> None:
    value, remedy = DECIDED[key]
    section, _, name = key.partition(".")
    with pytest.raises(ConfigError, match=f"{key} = .*has no effect.*{remedy}"):
        load(written(tmp_path, f"[{section}]\n{name} = {value}\n"), {})
    with pytest.raises(ConfigError, match=f"{key} = .*has no effect.*{remedy}"):
        load(written(tmp_path, ""), {f"HOMEOSTAT__{section}__{name}".upper(): value.strip("'")})


def test_labels_wait_in_the_monitor_as_long_as_in_the_worker(tmp_path: Path) -> None:
    assert load(written(tmp_path, "[labels]\nwait_s = 3600\n"), {}).monitor.late_labels_s == 3_600
    assert Config().monitor.late_labels_s == Config().labels.wait_s


def test_a_recipe_may_have_the_rank_that_the_engines_take(tmp_path: Path) -> None:
    assert load(written(tmp_path, "[stack]\nmax_lora_rank = 64\n"), {}).retrain.max_lora_rank == 64
    assert Config().retrain.max_lora_rank == Config().stack.max_lora_rank


@pytest.mark.parametrize(("days", "wait_s", "least"), [(8, 604_800, 9), (2, 60, 3), (15, 1_209_600, 16)])
def test_a_lake_that_forgets_before_labels_have_waited_is_refused(
    tmp_path: Path, days: int, wait_s: int, least: int
) -> None:
    text = f"[storage]\nkeep_days = {days}\n[labels]\nwait_s = {wait_s}\n"
    told = f"storage.keep_days = {days} and labels.wait_s = {wait_s}: expected storage.keep_days of at least {least}"
    with pytest.raises(ConfigError, match=told):
        load(written(tmp_path, text), {})
    load(written(tmp_path, text.replace(f"keep_days = {days}", f"keep_days = {least}")), {})
    load(written(tmp_path, text.replace(f"keep_days = {days}", "keep_days = 0")), {})


def test_all_of_them_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, "[monitor]\nlate_labels_s = 99\n[controller]\nmax_loras = 9\n"), {})
    assert len(raised.value.problems) == 2


def test_one_that_says_what_holds_anyway_is_taken(tmp_path: Path) -> None:
    stack = "[stack]\nkafka_port = 9095\nmax_loras = 6\n"
    same = "[kafka]\nbootstrap = '127.0.0.1:9095'\n[controller]\nmax_loras = 6\n"
    assert load(written(tmp_path, stack + same), {}).kafka.bootstrap == "127.0.0.1:9095"


def test_beside_own_brokers_the_embedded_ones_port_is_refused(tmp_path: Path) -> None:
    own = "[stack]\nembedded_kafka = false\n"
    assert load(written(tmp_path, own + "[kafka]\nbootstrap = 'b:9092'\n"), {}).kafka.bootstrap == "b:9092"
    with pytest.raises(ConfigError, match=r"stack\.kafka_port = .*kafka\.bootstrap"):
        load(written(tmp_path, own + "kafka_port = 9093\n"), {})


def test_security_for_the_embedded_broker_is_refused_by_name(tmp_path: Path) -> None:
    text = "[kafka.security]\nca = '/ca.pem'\nprotocol = 'SSL'\n"
    with pytest.raises(ConfigError, match=r"kafka\.security\.protocol, kafka\.security\.ca: .*stack\.embedded_kafka"):
        load(written(tmp_path, text), {})
    with pytest.raises(ConfigError, match=r"kafka\.security\.ca: not for the embedded broker"):
        load(written(tmp_path, ""), {"HOMEOSTAT__KAFKA__SECURITY__CA": "/ca.pem"})
    own = load(written(tmp_path, f"[stack]\nembedded_kafka = false\n{text}"), {})
    assert own.kafka.security.ca == Path("/ca.pem")


def every(kind: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting's key, and the class that has it."""
    for name, hint in get_type_hints(kind).items():
        inner = [each for each in (hint, *get_args(hint)) if dataclasses.is_dataclass(each)]
        if inner:
            yield from every(inner[0], f"{at}{name}.")
        else:
            yield f"{at}{name}", kind


@pytest.fixture(scope="module")
def read() -> set[str]:
    """The attributes that functions read, but for those in which settings check themselves."""
    found: set[str] = set()
    for path in (path for room in ROOMS for path in (ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text())
        checks = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__post_init__"]
        own = {id(inner) for check in checks for inner in ast.walk(check)}
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)]
        found |= {n.attr for n in nodes if id(n) not in own}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key, _ in every(Config)])
def test_every_setting_is_read_by_some_part(key: str, read: set[str]) -> None:
    assert key.rpartition(".")[2] in read


def floating() -> Iterator[str]:
    for key, kind in every(Config):
        hint = get_type_hints(kind)[key.rpartition(".")[2]]
        if float in (hint, *get_args(hint)) and kind is not BurnWindow:
            yield key


@pytest.mark.parametrize("key", floating())
@pytest.mark.parametrize("number", ["inf", "-inf", "nan"])
def test_a_number_without_end_is_refused_by_its_name(key: str, number: str) -> None:
    """In a job's file it became null, and every retraining ended unread; a lease without end stopped the trainer."""
    with pytest.raises(ConfigError, match=f"{key.rpartition('.')[2]}|session_timeout_s .* heartbeat"):
        load(None, {"HOMEOSTAT__" + key.replace(".", "__").upper(): number})


def test_a_number_without_end_is_refused_in_a_list(tmp_path: Path) -> None:
    windows = "[[monitor.slo.burn_windows]]\nlong_s = 60\nshort_s = 6\nrate = inf\n"
    with pytest.raises(ConfigError, match=r"monitor\.slo\.burn_windows\.0\.rate = inf: expected a finite number"):
        load(written(tmp_path, windows), {})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[gateway]\nsilent_s = 1e12", r"gateway\.silent_s = 1000000000000\.0: expected at most 1,000,000,000 seconds"),
        ("[worker]\npatience_s = 1e11", r"worker\.patience_s = 100000000000\.0: expected at most"),
        ("[gateway]\nspool_bytes = 9223372036854775808", r"spool_bytes = .*: expected at most 9,007,199,254,740"),
    ],
)
def test_a_number_that_only_its_use_would_refuse_is_refused_by_its_name(
    line: str, expected: str, tmp_path: Path
) -> None:
    """Python waits for 292 years at most, and says so in the midst of a role's work."""
    with pytest.raises(ConfigError, match=expected):
        load(written(tmp_path, f"{line}\n"), {})


def key_file(path: Path, text: str) -> Path:
    path.write_text(text * 5)
    path.chmod(0o600)
    return path


def test_signing_keys_come_from_files_and_masks_keep_theirs(tmp_path: Path) -> None:
    new, old, mask = (key_file(tmp_path / name, text) for name, text in KEY_FILES.items())
    stack, section = f"[stack]\nvar = '{tmp_path}'\n", f"[secrets]\nsigning_key_files = ['{new}', '{old}']\n"
    with pytest.raises(ConfigError, match="mask_key_file is None, expected a file where signing_key_files names some"):
        load(written(tmp_path, stack + section), {})
    config = load(written(tmp_path, f"{stack}{section}mask_key_file = '{mask}'\n"), {})
    made = secrets.signer(config)
    assert (made.key, made.older, made.private) == tuple(
        each if i != 1 else (each,) for i, each in enumerate(path.read_bytes() for path in (new, old, mask))
    )
    assert config.retrain.pii.mask_key_file == mask, "datasets have the gateways' surrogates"
    assert tenant_keys(tmp_path, mask)("t") == made.tenant_key("t")
    assert not (tmp_path / "secrets").exists(), "no key is made where others are named"
    old.unlink()
    with pytest.raises(secrets.SecretError, match=r"old\.key is not there, expected a key"):
        secrets.signer(config)
    with pytest.raises(ValueError, match=r"mask_key_file is .*expected the file of the key by which gateways mask"):
        tenant_keys(tmp_path, tmp_path / "none")


def test_an_installation_with_one_key_signs_and_masks_with_it(tmp_path: Path) -> None:
    made = secrets.signer(load(written(tmp_path, f"[stack]\nvar = '{tmp_path}'\n"), {}))
    assert (made.older, made.private) == ((), b"")
    assert tenant_keys(tmp_path)("t") == made.tenant_key("t")


def test_a_key_file_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected each file once"):
        load(written(tmp_path, "[secrets]\nsigning_key_files = ['/a', '/a']\nmask_key_file = '/m'\n"), {})
