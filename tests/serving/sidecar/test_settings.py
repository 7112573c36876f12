"""What a side-car is called and where it is reached, and what is no setting."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.config.parse import ConfigError
from deploy.config.settings import load
from serving.routes.statement import public_text
from serving.sidecar.settings import SideCarSettings
from tests.serving.support.side_cars import KEY, entry


def test_its_name_is_the_pods() -> None:
    assert SideCarSettings().called({"POD_NAME": "vllm-1"}) == "vllm-1"
    assert SideCarSettings(name="mine").called({"POD_NAME": "vllm-1"}) == "mine"
    with pytest.raises(ValueError, match=r"replica\.name is 'a b'"):
        SideCarSettings().called({"POD_NAME": "a b"})


def test_its_address_is_one_that_can_be_asked() -> None:
    assert SideCarSettings(host="10.0.0.1").reached() == "http://10.0.0.1:8200"
    assert SideCarSettings(host="0.0.0.0", address="https://vllm-1.vllm:8200/").reached() == "https://vllm-1.vllm:8200"
    with pytest.raises(ValueError, match=r"replica.address is not set and replica.host is 0\.0\.0\.0"):
        SideCarSettings(host="0.0.0.0").reached()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"engine": "localhost:8000"}, "engine is 'localhost:8000', expected http://host:port"),
        ({"engine": "http://vllm:8000/v1"}, "expected the address before /v1"),
        ({"name": "a/b"}, "name is 'a/b', expected letters"),
        ({"port": 0}, "port is 0, expected a port"),
        ({"timeout_s": 0.0}, "timeout_s is 0.0, expected a positive number"),
        ({"tls_key": "/key"}, "tls_key is '/key', expected a file where tls_cert is one"),
        ({"client_ca": "/ca"}, "client_ca is '/ca', expected none without tls_cert"),
    ],
)
def test_what_is_no_setting_is_named(wrong: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        SideCarSettings(**wrong)


def test_a_list_of_side_cars_is_read_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "homeostat.toml"
    path.write_text(f'[replicas."vllm-*"]\nurl = "http://{{name}}.vllm:8200"\npublic_key = "{public_text(KEY)}"\n')
    assert load(path, {}).replicas == {"vllm-*": entry("http://{name}.vllm:8200")}
    listed = json.dumps({"vllm-1": {"url": "http://vllm-1:8200", "public_key": public_text(KEY)}})
    assert load(path, {"HOMEOSTAT__REPLICAS": listed}).replicas.keys() == {"vllm-*", "vllm-1"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("url = 3", "replicas.vllm-*.url = 3"),
        ('key_file = "k"', "replicas.vllm-*.key_file: unknown key; expected one of ca, cert, key, public_key, url"),
        ('ca = "~/ca.pem"', "replicas.vllm-*.ca = '~/ca.pem': only shells know what ~ is"),
        ('url = "http://vllm:8200"', "expected {name} in it"),
    ],
)
def test_an_entry_that_is_wrong_is_named(tmp_path: Path, line: str, expected: str) -> None:
    given = {"url": '"http://{name}:8200"', "public_key": f'"{public_text(KEY)}"'}
    name, _, value = line.partition(" = ")
    lines = "\n".join(f"{key} = {each}" for key, each in {**given, name: value}.items())
    path = tmp_path / "homeostat.toml"
    path.write_text(f'[replicas."vllm-*"]\n{lines}\n')
    with pytest.raises(ConfigError) as raised:
        load(path, {})
    assert expected in str(raised.value)
