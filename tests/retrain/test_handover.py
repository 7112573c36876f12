"""A job goes on on another machine, from the last checkpoint and with the same dataset."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from retrain.handover import CHECKPOINT, REST_S, Handover
from retrain.job_files import DATASET, OUTCOME
from streams.objects.settings import StorageSettings
from tests.retrain.test_job import spec
from tests.support.s3 import DENIED, S3


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> StorageSettings:
    if request.param == "file":
        return StorageSettings(url=f"file://{tmp_path}/store")
    s3: S3 = request.getfixturevalue("s3")
    return s3.storage(tmp_path.name)


def handover(var: Path, storage: StorageSettings) -> Handover:
    (var / "jobs" / "r1").mkdir(parents=True, exist_ok=True)
    return Handover.of(replace(spec(var, var, "0" * 64), storage=storage), var / "jobs" / "r1")


def leave(at: Handover, **files: str) -> None:
    """What the job of this machine wrote."""
    names = {"dataset": DATASET, "checkpoint": CHECKPOINT, "outcome": OUTCOME}
    for name, text in files.items():
        (at.folder / names[name]).parent.mkdir(exist_ok=True)
        (at.folder / names[name]).write_text(text)


def test_another_machine_takes_over_dataset_and_last_checkpoint(storage: StorageSettings, tmp_path: Path) -> None:
    one, two = handover(tmp_path / "one", storage), handover(tmp_path / "two", storage)
    leave(one, dataset="d1", checkpoint="step 10")
    one.give(0)
    leave(one, checkpoint="step 20, more")
    one.give(1)
    two.take()
    assert (two.folder / DATASET).read_text() == "d1"
    assert (two.folder / CHECKPOINT).read_text() == "step 20, more"
    assert not (two.folder / OUTCOME).exists()


def test_what_a_machine_has_itself_it_keeps(storage: StorageSettings, tmp_path: Path) -> None:
    one, two = handover(tmp_path / "one", storage), handover(tmp_path / "two", storage)
    leave(one, dataset="d1")
    one.give(0)
    leave(two, dataset="d2")
    two.take()
    assert (two.folder / DATASET).read_text() == "d2"


def test_an_outcome_is_taken_over_and_no_checkpoint_stays(storage: StorageSettings, tmp_path: Path) -> None:
    one, two = handover(tmp_path / "one", storage), handover(tmp_path / "two", storage)
    leave(one, dataset="d1", checkpoint="step 10")
    one.give(0)
    leave(one, outcome="promote")
    one.end()
    two.take()
    assert (two.folder / OUTCOME).read_text() == "promote"
    assert not (two.folder / CHECKPOINT).exists()


def test_where_the_store_is_stack_var_nothing_is_put_twice(tmp_path: Path) -> None:
    here = handover(tmp_path, StorageSettings())
    leave(here, dataset="d1", checkpoint="step 10")
    before = sorted(tmp_path.rglob("*"))
    here.take()
    here.give(0)
    here.end()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_is_away_holds_up_no_training(s3: S3, tmp_path: Path) -> None:
    here = handover(tmp_path, s3.storage(tmp_path.name))
    leave(here, dataset="d1")
    s3.for_ever = DENIED
    here.take()
    here.give(100)
    asked = len(s3.asked)
    here.give(100 + REST_S / 2)
    assert len(s3.asked) == asked, "it rests after trouble"
    s3.for_ever = None
    here.give(100 + REST_S)
    assert here.store is not None
    assert here.store.get("jobs/r1/dataset").data == b"d1"
