"""One evaluation at a time on an engine, on a folder and on S3, without comparing two machines' clocks."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from retrain.evaluation.engine.lease import EvaluationLease, LeaseLost, held
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore
from tests.support.folder import in_folder
from tests.support.s3 import S3

ENGINE = "http://127.0.0.1:8001"


class Clock:
    """A machine's own clock."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return in_folder(tmp_path).store
    s3: S3 = request.getfixturevalue("s3")
    return Storage(s3.storage(tmp_path.name), tmp_path).trees().store


def lease(store: ObjectStore, by: str, clock: Clock | None = None, engine: str = ENGINE) -> EvaluationLease:
    return EvaluationLease(store, engine, by, 60.0, clock or Clock())


def test_one_has_it_and_the_next_gets_it_when_it_is_free(store: ObjectStore) -> None:
    one, two = lease(store, "one"), lease(store, "two", Clock(10_000.0))
    assert one.take()
    assert not two.take()
    assert lease(store, "two", engine="http://other").take()
    one.check()
    with pytest.raises(LeaseLost):
        two.check()
    one.release()
    assert two.take()
    with pytest.raises(LeaseLost):
        one.check()
    assert not one.renew()


def test_one_that_is_silent_for_the_whole_lease_loses_it_and_knows(store: ObjectStore) -> None:
    """Whatever its clock says: ten minutes apart, nothing is taken away."""
    mine, theirs = Clock(), Clock(600.0)
    one, two = lease(store, "one", mine), lease(store, "two", theirs)
    assert one.take()
    for _ in range(5):
        assert not two.take()
        theirs.now += 50
        mine.now += 50
        assert one.renew()
    assert not two.take()
    theirs.now += 61
    assert two.take()
    assert not one.renew()
    with pytest.raises(LeaseLost, match="the evaluation one has lost its lease"):
        one.check()


def test_one_that_could_put_no_beat_for_so_long_asks_no_more(store: ObjectStore) -> None:
    clock = Clock()
    one = lease(store, "one", clock)
    assert one.take()
    clock.now += 61
    with pytest.raises(LeaseLost):
        one.check()


def test_a_job_that_is_started_again_goes_on_at_once(store: ObjectStore) -> None:
    killed, again = lease(store, "one"), lease(store, "one")
    assert killed.take()
    assert again.take()
    assert not killed.renew()


def test_of_many_that_wait_one_at_a_time_has_it(tmp_path: Path) -> None:
    inside, most, done = 0, 0, []
    counting = threading.Lock()

    def evaluation(number: int) -> None:
        nonlocal inside, most
        with held(EvaluationLease(in_folder(tmp_path).store, ENGINE, f"r{number}", 60.0), pause=lambda _: None) as mine:
            with counting:
                inside += 1
                most = max(most, inside)
            mine.check()
            done.append(number)
            with counting:
                inside -= 1

    threads = [threading.Thread(target=evaluation, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    assert (sorted(done), most) == ([0, 1, 2, 3], 1)
