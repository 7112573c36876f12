"""Retrainings by hand and adapters made elsewhere: the ledger first, and refused before anything is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from safetensors.torch import load_file, save_file

from deploy.config.settings import Config
from deploy.operator.registry import asking
from deploy.stack.settings import StackSettings
from retrain.claims import attempt
from retrain.registry import origins
from streams.events import DecisionRecorded, Event, RetrainReported, RetrainRequested, RouteWritten
from streams.kinds import RetrainStatus
from streams.topics import LEDGER, REQUESTS, Topic
from tests.retrain.conftest import model_dir

CHAMPION = "support-0123456789ab"
ROUTE = RouteWritten(
    alias="support", generation=3, champion=CHAMPION, adapters={CHAMPION: "0" * 64}, time_ms=0, by="test"
)
WEIGHTS = "adapter_model.safetensors"
__all__ = ["model_dir"]  # a fixture


class Log:
    """The log as lists, in the places of its reader and its writer."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.routes = {"support": ROUTE}
        self.written: list[tuple[Topic, Event]] = []
        self.results: list[RetrainReported] = []
        patch.setattr("serving.rollout.operations.routes", lambda _: self.routes)
        patch.setattr(asking, "read", self.read)
        patch.setattr(asking, "Writer", lambda *_: self)

    def read(self, _: object, topic: Topic, kind: type) -> Iterator[Any]:
        events = self.requests if topic == REQUESTS else self.results
        return (SimpleNamespace(event=each) for each in events)

    def append(self, topic: Topic, event: Event, *, id: str, time_ms: int) -> int:
        self.written.append((topic, event))
        return 0

    def close(self) -> None: ...

    @property
    def requests(self) -> list[RetrainRequested]:
        return [each for _, each in self.written if isinstance(each, RetrainRequested)]

    def end(self, status: RetrainStatus) -> None:
        request = self.requests[-1]
        self.results.append(
            RetrainReported(request_id=request.id, alias="support", status=status, time_ms=1, by="trainer")
        )


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    return Log(monkeypatch)


@pytest.fixture
def config(tmp_path: Path, model_dir: Path) -> Config:
    return Config(stack=StackSettings(var=tmp_path / "var", model=model_dir))


def test_a_retraining_is_asked_for_in_the_ledger_first(log: Log, config: Config) -> None:
    request = asking.retrain(config, "support", "a new season")
    assert [topic for topic, _ in log.written] == [LEDGER, REQUESTS]
    entry = log.written[0][1]
    assert isinstance(entry, DecisionRecorded)
    assert (entry.function, entry.inputs) == ("operator", {"action": "retrain", "by": "cli"})
    assert (request.champion, request.reason) == (CHAMPION, "a new season")
    with pytest.raises(RuntimeError, match=f"retraining {request.id} is under way: a new season"):
        asking.retrain(config, "support", "again")


def test_tries_against_one_champion_share_one_chance_to_err(log: Log, config: Config) -> None:
    """Whoever asks often enough would else get a candidate through by luck."""
    asking.retrain(config, "support", "first")
    log.end(RetrainStatus.REJECT)
    second = asking.retrain(config, "support", "second")
    assert attempt(second, log.requests, log.results) == 2


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        ({}, "no version serves it"),
        ({"support": replace(ROUTE, paused=True)}, "homeostat resume support"),
        ({"support": replace(ROUTE, canary="support-ffffffffffff")}, "is on trial"),
    ],
)
def test_what_no_trainer_would_take_up_is_refused(
    log: Log, config: Config, routes: dict[str, RouteWritten], why: str
) -> None:
    log.routes = routes
    with pytest.raises((LookupError, RuntimeError), match=why):
        asking.retrain(config, "support", "now")
    assert log.written == []


def replace_rank(config: Config, rank: int) -> Config:
    """The configuration of engines that take no higher rank."""
    return dataclasses.replace(config, stack=dataclasses.replace(config.stack, max_lora_rank=rank))


def peft(folder: Path, model: Path) -> Path:
    """A real adapter of the model, as PEFT saves one."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(str(model))
    get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"])).save_pretrained(str(folder))
    return folder


@pytest.mark.slow
def test_an_adapter_made_elsewhere_goes_into_the_store_and_is_to_be_judged(
    log: Log, config: Config, tmp_path: Path, model_dir: Path
) -> None:
    folder = peft(tmp_path / "lab", model_dir)
    found = asking.adopt(config, "support", folder, "from the lab")
    assert found.request is not None
    assert (found.request.adopts, found.request.champion) == (found.adapter.digest, CHAMPION)
    assert [topic for topic, _ in log.written] == [LEDGER, REQUESTS]
    assert found.adapter.path.is_dir()
    origin = origins.recalled(config.kept.trees(), found.adapter.version)
    assert origin is not None
    assert (origin.adopted, origin.reason, origin.parent) == (True, "from the lab", None)
    log.end(RetrainStatus.PROMOTE)
    log.routes = {"support": replace(ROUTE, champion=found.adapter.version)}
    with pytest.raises(RuntimeError, match="is the champion of support already"):
        asking.adopt(config, "support", folder, "again")
    log.routes = {}
    assert asking.adopt(config, "support", folder, "first of all").request is None


@pytest.mark.slow
def test_what_engines_could_not_load_is_refused_and_nothing_is_stored(
    log: Log, config: Config, tmp_path: Path, model_dir: Path
) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "adapter_config.json").write_text("{}")
    (pickled / "adapter_model.bin").write_bytes(b"\x80")
    with pytest.raises(FileNotFoundError, match="never loaded"):
        asking.adopt(config, "support", pickled, "why")
    mine = peft(tmp_path / "lab", model_dir)
    with pytest.raises(ValueError, match="alias"):
        asking.adopt(config, "No Alias", mine, "why")
    low = replace_rank(config, 1)
    with pytest.raises(ValueError, match="4"):
        asking.adopt(low, "support", mine, "why")
    weights = load_file(mine / WEIGHTS)
    save_file({name.replace("layers.1", "layers.9"): each for name, each in weights.items()}, mine / WEIGHTS)
    with pytest.raises(ValueError, match="an adapter of another base model"):
        asking.adopt(config, "support", mine, "why")
    assert log.written == []
    assert not (config.stack.var / "adapters").exists()
