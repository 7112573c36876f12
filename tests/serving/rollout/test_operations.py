"""An operator's act is recorded first, and wins over any writer that was faster."""

from __future__ import annotations

import msgspec
import pytest

from serving.rollout import operations
from serving.rollout.changes import EngineLimits
from streams import codec
from streams.events import RetrainReported, RouteWritten
from streams.kinds import RetrainStatus
from streams.log.settings import KafkaSettings
from streams.routes import in_force
from streams.topics import RESULTS, ROUTES
from tests.serving.support.fake_log import AdminLog, route

KAFKA = KafkaSettings()
NEW = "support-cccccccccccc"
DIGEST = "c" * 64


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> AdminLog:
    log = AdminLog.under(monkeypatch)
    log.put(ROUTES, route())
    return log


def faster(log: AdminLog, times: int = 1, **changes: object) -> None:
    """An automatic actor writes the same generation first, so many times."""
    left = [times]

    def write(ours: RouteWritten) -> None:
        if left[0] > 0:
            left[0] -= 1
            theirs = {"generation": ours.generation, "cause": "theirs", "by": "controller", **changes}
            log.put(ROUTES, msgspec.structs.replace(in_force(log.routes)["support"], **theirs))

    log.before_route = write


def test_every_change_is_in_the_ledger_before_it_is_in_force(log: AdminLog) -> None:
    log.before_route = lambda ours: seen.append(log.decisions[-1].id == ours.cause)
    seen: list[bool] = []
    written = operations.pause(KAFKA, "support", "admin/ann")
    assert seen == [True]
    (decision,) = log.decisions
    assert decision.inputs["by"] == written.by == "admin/ann"
    assert (decision.inputs["action"], decision.output["paused"]) == ("pause", True)


def test_an_act_is_recorded_without_the_salt_and_keeps_it(log: AdminLog) -> None:
    rolled = {"canary": NEW, "weight": 0.5, "adapters": {**route().adapters, NEW: DIGEST}}
    log.put(ROUTES, msgspec.structs.replace(route(), generation=2, salt="a secret", **rolled))
    assert operations.pause(KAFKA, "support", "cli").salt == "a secret"
    assert in_force(log.routes)["support"].salt == "a secret"
    assert b"a secret" not in codec.encode(log.decisions[-1])


def test_a_pause_takes_effect_though_a_controller_was_faster(log: AdminLog) -> None:
    faster(log, canary=NEW, weight=0.5, adapters={**route().adapters, NEW: DIGEST})
    written = operations.pause(KAFKA, "support", "cli")
    assert (written.generation, written.paused, written.canary, written.weight) == (3, True, NEW, 0.5)
    assert operations.routes(KAFKA)["support"] == written


def test_a_promotion_takes_effect_though_a_controller_was_faster(log: AdminLog) -> None:
    faster(log, times=3)
    written = operations.promote(KAFKA, "support", NEW, DIGEST, "cli")
    assert (written.generation, written.champion, written.previous) == (5, NEW, route().champion)


def test_a_rollback_is_of_the_champion_that_the_operator_saw(log: AdminLog) -> None:
    faster(log, champion=NEW, previous=route().champion, adapters={**route().adapters, NEW: DIGEST})
    with pytest.raises(RuntimeError, match=f"{NEW} serves by now, not {route().champion}"):
        operations.rollback(KAFKA, "support", "cli")
    assert operations.routes(KAFKA)["support"].champion == NEW


def test_one_who_is_always_faster_is_reported(log: AdminLog) -> None:
    faster(log, times=99)
    with pytest.raises(RuntimeError, match="others wrote 10 generations in a row"):
        operations.pause(KAFKA, "support", "cli")


def test_everything_is_paused_and_resumed_at_once(log: AdminLog) -> None:
    log.put(ROUTES, route("billing"))
    assert [each.alias for each in operations.pause_all(KAFKA, "cli")] == ["billing", "support"]
    assert all(each.paused for each in operations.routes(KAFKA).values())
    operations.resume_all(KAFKA, "cli")
    assert not any(each.paused for each in operations.routes(KAFKA).values())


def test_a_hundred_are_paused_with_the_questions_of_one(log: AdminLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each had connections of its own: forty took a minute where one takes two seconds."""
    asked: list[str] = []

    def counted(name: str) -> None:
        whole = getattr(operations, name)

        def noted(*args: object) -> object:
            asked.append(name)
            return whole(*args)

        monkeypatch.setattr(operations, name, noted)

    counted("read")
    counted("Appender")
    operations.pause(KAFKA, "support", "cli")
    one = asked.copy()
    for number in range(100):
        log.put(ROUTES, route(f"alias-{number}"))
    asked.clear()
    assert len(operations.pause_all(KAFKA, "cli")) == 101
    assert asked == one


def test_one_alias_that_cannot_be_paused_keeps_no_other_from_it(log: AdminLog) -> None:
    log.put(ROUTES, route("billing"))

    def write(ours: RouteWritten) -> None:
        if ours.alias == "billing":
            log.put(ROUTES, msgspec.structs.replace(ours, cause="theirs", paused=False))

    log.before_route = write
    with pytest.raises(RuntimeError, match="billing: others wrote"):
        operations.pause_all(KAFKA, "cli")
    assert operations.routes(KAFKA)["support"].paused


def test_what_does_not_fit_writes_nothing(log: AdminLog) -> None:
    with pytest.raises(ValueError, match="3 versions are wanted at once, max_loras is 2"):
        operations.shadow(KAFKA, "support", NEW, "cli", digest=DIGEST, limits=EngineLimits(2, 16))
    with pytest.raises(ValueError, match="its rank is 64, max_lora_rank is 16"):
        operations.promote(KAFKA, "support", NEW, DIGEST, "cli", limits=EngineLimits(4, 16), rank=64)
    assert log.decisions == []
    assert len(log.routes) == 1


def test_a_shadows_digest_is_what_the_log_says(log: AdminLog) -> None:
    with pytest.raises(operations.UnknownVersion, match=f"{NEW}: no route and no retraining of support named it"):
        operations.shadow(KAFKA, "support", NEW, "cli")
    made = RetrainReported(
        request_id="r", alias="support", status=RetrainStatus.REJECT, time_ms=0, by="t", candidate=NEW, digest=DIGEST
    )
    log.put(RESULTS, made)
    written = operations.shadow(KAFKA, "support", NEW, "cli")
    assert (written.shadow, written.adapters[NEW]) == (NEW, DIGEST)
    assert operations.shadow(KAFKA, "support", None, "cli").shadow is None
