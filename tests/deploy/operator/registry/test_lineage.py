"""From a reply's request id to its version, and on."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import json

from deploy.cli import main
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.operator.registry.lineage import traced
from deploy.stack.settings import StackSettings
from retrain.registry import origins
from retrain.registry.lineage import LineageNode
from retrain.registry.origins import VersionOrigin
from streams.identity import RequestId, Signer, uuid7
from streams.topics import INFERENCE
from tests.retrain.data.test_labelled_rows import reply
from tests.streams.support.lakes import put

VERSION = "support-0123456789ab"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    found = Config(stack=StackSettings(var=tmp_path))
    origins.remember(found.kept.trees(), VersionOrigin(version=VERSION, digest="0" * 64, parent="", request="r1"))
    return found


def signed(id: str) -> str:
    return Signer(b"key").sign(RequestId(id, VERSION, "champion", ""))


def test_a_reply_leads_to_the_version_that_answered_and_its_origin(config: Config, tmp_path: Path) -> None:
    event = reply(7, version=VERSION)
    put(tmp_path / "lake", INFERENCE, [event, reply(8, version="support-ffffffffffff")])
    for name in (event.id, signed(event.id)):
        node = traced(config, name)
        assert (node.kind, node.name, node.about["version"], node.about["client"]) == (
            "reply",
            event.id,
            VERSION,
            event.client,
        )
        (version,) = node.origins
        assert (version.name, [each.name for each in version.origins]) == (VERSION, ["r1"])


def test_a_reply_that_is_not_in_the_lake_is_said_to_be_unchecked(config: Config) -> None:
    node = traced(config, signed(uuid7()))
    assert "unchecked" in str(node.about["note"])
    assert node.origins[0].name == VERSION
    with pytest.raises(LookupError, match="expected a VERSION, or the value of a reply's x-homeostat-request-id"):
        traced(config, "nothing' OR 1=1")


def test_the_command_draws_a_tree_and_prints_json_without_kafka(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "homeostat.toml"
    file.write_text(dump({"stack": {"var": str(tmp_path)}}))
    drawn = CliRunner().invoke(main, ["lineage", VERSION, "--config", str(file)])
    assert drawn.exit_code == 0, drawn.output
    assert f"version {VERSION}" in drawn.output
    assert "retraining r1" in drawn.output
    printed = CliRunner().invoke(main, ["lineage", VERSION, "--json", "--config", str(file)])
    assert json.decode(printed.stdout.encode(), type=LineageNode) == traced(config, VERSION, with_ids=True)
