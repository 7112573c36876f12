"""Operators' commands against a real log: what they write, and what they refuse before they write."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy.cli import main
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.operator.models.versions import found
from deploy.stack.settings import StackSettings
from retrain.adapters import commit
from serving.rollout.operations import routes
from streams import ledger
from streams.identity import adapter_key
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from tests.serving.support.adapter_files import store, write
from tests.support.s3 import S3


class Desk:
    """An operator's configuration, and aliases of this test's own."""

    def __init__(self, folder: Path, kafka: KafkaSettings) -> None:
        self.kafka, self.root = kafka, folder
        self.config = folder / "homeostat.toml"
        stack = {"var": str(folder), "embedded_kafka": False, "max_loras": 64}
        self.config.write_text(dump({"stack": stack, "kafka": {"bootstrap": kafka.bootstrap}}))

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(main, [*words, "--config", str(self.config)])

    def ok(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code == 0, done.output
        return done.output

    def refused(self, *words: str) -> str:
        done = self.run(*words)
        assert done.exit_code != 0
        return done.output


@pytest.fixture
def desk(tmp_path: Path, kafka: KafkaSettings) -> Desk:
    return Desk(tmp_path, kafka)


def test_everything_an_operator_may_do(desk: Desk) -> None:
    (one, _), (two, digest) = store(desk.root, "1", "cli-a"), store(desk.root, "2", "cli-a")
    other, _ = store(desk.root, "3", "cli-b")
    desk.ok("promote", "cli-a", one)
    desk.ok("promote", "cli-a", two)
    desk.ok("promote", "cli-b", other)
    assert "cli-a: paused" in desk.ok("pause")
    in_force = routes(desk.kafka)
    assert all(in_force[alias].paused for alias in ("cli-a", "cli-b"))
    desk.ok("resume", "cli-a")
    in_force = routes(desk.kafka)
    assert [in_force[alias].paused for alias in ("cli-a", "cli-b")] == [False, True]
    assert "cli-b: goes on" in desk.ok("resume")
    assert f"champion {one}" in desk.ok("rollback", "cli-a")
    assert f"shadow {two}" in desk.ok("shadow", "cli-a", two)
    assert routes(desk.kafka)["cli-a"].adapters[two] == digest
    assert "shadow none" in desk.ok("shadow", "cli-a", "--off")
    desk.ok("promote", "cli-a", two, "--drop-previous")
    assert routes(desk.kafka)["cli-a"].previous is None
    told = [each.inputs["action"] for each in ledger.read(desk.kafka) if each.alias == "cli-a"]
    assert told == ["promote", "promote", "pause", "resume", "rollback", "shadow", "shadow off", "promote"]


def test_what_no_engine_can_take_is_refused_and_nothing_is_written(desk: Desk) -> None:
    good, _ = store(desk.root, "1", "cli-c")
    high, _ = store(desk.root, "2", "cli-c", r=64)
    bad, digest = store(desk.root, "3", "cli-c")
    ((desk.root / adapter_key("cli-c", digest)) / "adapter_model.bin").write_bytes(b"")
    desk.ok("promote", "cli-c", good)
    assert "its rank is 64, max_lora_rank is 16" in desk.refused("promote", "cli-c", high)
    assert "a pickle runs code" in desk.refused("shadow", "cli-c", bad)
    assert "no such adapter" in desk.refused("promote", "cli-c", "cli-c-000000000000")
    desk.config.write_text(desk.config.read_text().replace("max_loras = 64", "max_loras = 1"))
    second, _ = store(desk.root, "4", "cli-c")
    assert "max_loras is 1" in desk.refused("promote", "cli-c", second)
    assert "max_loras is 1" in desk.refused("shadow", "cli-c", second)
    assert routes(desk.kafka)["cli-c"].generation == 1


def test_a_shadow_is_named_or_taken_off(desk: Desk) -> None:
    assert "name a VERSION, or give --off" in desk.refused("shadow", "cli-d")
    assert "name a VERSION, or give --off" in desk.refused("shadow", "cli-d", "cli-d-000000000000", "--off")
    assert "alias 'cli-d' has no route" in desk.refused("shadow", "cli-d", "--off")


def test_a_version_in_a_bucket_is_found_and_one_that_is_not_there_is_told_with_the_others(
    s3: S3, tmp_path: Path
) -> None:
    config = Config(stack=StackSettings(var=tmp_path / "operator"), storage=s3.storage(tmp_path.name))
    source = write(tmp_path / "made", r=16)
    adapter = commit(source, Storage(config.storage, tmp_path / "trainer").trees(), "cli-d", "base")
    assert found(config, "cli-d", adapter.version) == (adapter.digest, 16)
    with pytest.raises(
        LookupError, match=rf"cli-d-0+: no such adapter in s3://.*adapters/cli-d; known: {adapter.version}"
    ):
        found(config, "cli-d", "cli-d-000000000000")
