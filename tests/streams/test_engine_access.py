"""How an engine of others is reached: bad settings are named, a key is read again when its file changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.config.parse import ConfigError
from deploy.config.settings import load
from streams.engine_access import EngineAccess, EngineKey, NoEngineKey


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('url = "engine:8000"', "url is 'engine:8000', expected http://host:port"),
        ('url = "http://e:8000/v1"', "expected the address before /v1"),
        ('url = "http://e:99999"', "url is 'http://e:99999', expected http://host:port"),
        ('url = "http://e:8000/#a"', "expected http://host:port or https://host:port, with a path at most"),
        ('url = "http://e:8000/a b"', "with a path at most"),
        ('url = "http://user:secret@e"', "expected http://host:port"),
        ('url = "https://e"\ncert = "/c.pem"', "key is None, expected a file where cert is one"),
        ('url = "http://e"\nca = "/c.pem"', "expected https:// where ca or cert is set"),
        ('url = "http://e"\nkeyfile = "/k"', "engines.a.keyfile: unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "homeostat.toml").write_text(f"[engines.a]\n{table}\n")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "homeostat.toml", {})
    assert told in str(raised.value)


def test_two_engines_of_one_address_and_odd_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "homeostat.toml").write_text(
        '[engines]\na.url = "http://e"\nb.url = "http://E:80/"\n"A b".url = "http://f"'
    )
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "homeostat.toml", {})
    assert "engines a, b have one url, http://e: expected one name for each engine" in str(raised.value)
    assert "engines.A b: expected a name of 1 to 63" in str(raised.value)


def test_they_come_from_the_environment_too() -> None:
    config = load(None, {"HOMEOSTAT__ENGINES__GPU0__URL": "http://gpu0:8000"})
    assert config.engines == {"gpu0": EngineAccess(url="http://gpu0:8000")}


def test_with_engines_of_others_their_ports_here_have_no_effect(tmp_path: Path) -> None:
    (tmp_path / "homeostat.toml").write_text('[engines]\na.url = "http://e"\n[stack]\nengine_ports = [8001]\n')
    with pytest.raises(ConfigError, match="no engine is started here"):
        load(tmp_path / "homeostat.toml", {})


def test_a_key_is_read_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("first\n")
    key = EngineKey(EngineAccess(url="http://e", key_file=path))
    assert key.headers() == {"Authorization": "Bearer first"}
    path.write_text("second-one\n")
    assert key.headers() == {"Authorization": "Bearer second-one"}
    path.write_text("")  # being written
    assert key.headers() == {"Authorization": "Bearer second-one"}


def test_a_file_without_a_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with pytest.raises(NoEngineKey, match="cannot be read"):
        EngineAccess(url="http://e", key_file=path).bearer()
    path.write_text("two words")
    with pytest.raises(NoEngineKey, match="expected one key without blanks"):
        EngineAccess(url="http://e", key_file=path).bearer()
