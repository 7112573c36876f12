"""Each command and process tracks where the settings say, unless its environment names a server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.commands.group import load
from deploy.config.parse import ConfigError
from deploy.config.toml import dump

URI = "MLFLOW_TRACKING_URI"


def settings(folder: Path, uri: str) -> Path:
    file = folder / "homeostat.toml"
    file.write_text(dump({"tracking": {"uri": uri}}))
    return file


def test_the_settings_name_the_server_and_the_environment_goes_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI, "http://environment:5000")
    load(settings(tmp_path, "http://settings:5000"))
    assert os.environ[URI] == "http://environment:5000"
    monkeypatch.delenv(URI)
    load(settings(tmp_path, "http://settings:5000"))
    assert os.environ[URI] == "http://settings:5000"


def test_a_password_in_the_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        load(settings(tmp_path, "https://me:secret@host:5000"))
    assert "secret" not in str(refused.value)
