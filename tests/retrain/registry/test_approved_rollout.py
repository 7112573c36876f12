"""An approval that a person gives in MLflow begins a rollout, through a real log, a real MLflow and a controller.

The mirror works in this process: that it has one of its own, `test_mirror` shows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from deploy.operator.review.candidates import waiting
from retrain.registry.follower import RegistryFollower
from retrain.registry.mirror import mirrored
from retrain.registry.versions import ordered
from retrain.requests import RetrainTopics
from retrain.training.tracking import URI, client_of
from serving.rollout import operations
from serving.rollout.approvals import ApprovalRule
from serving.rollout.controller import Controller
from serving.routes.follower import Follower
from serving.settings import ControllerSettings
from streams import ledger
from streams.clock import now_ms
from streams.events import DecisionRecorded, RetrainReported
from streams.kinds import RetrainStatus
from streams.log.append import Writer
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.topics import LEDGER, RESULTS
from tests.serving.support.adapter_files import store
from tests.support.folder import in_folder
from tests.support.waiting import wait

ALIAS = "approved-there"
RULE = ApprovalRule(people=1, timeout_s=3_600)

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def decisions(kafka: KafkaSettings) -> list[DecisionRecorded]:
    return [each for each in ledger.read(kafka) if each.alias == ALIAS]


def listed(kafka: KafkaSettings) -> list[str]:
    """The candidates of the alias that wait for an approval."""
    reports = [each.event for each in read(kafka, RESULTS, RetrainReported) if each.event.alias == ALIAS]
    return [each.version for each in waiting(reports, decisions(kafka), RULE, now_ms())]


def test_a_person_s_alias_in_mlflow_begins_the_rollout(
    empty_kafka: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka = empty_kafka  # a rollout waits while the routes of all aliases want more adapters than an engine holds
    monkeypatch.delenv(URI, raising=False)
    client = client_of(tmp_path / "mlflow")
    monkeypatch.setattr("retrain.registry.follower.mirrored", lambda order, _: mirrored(client, order))
    (old, old_digest), (new, digest) = store(tmp_path, "1", ALIAS), store(tmp_path, "2", ALIAS)
    operations.promote(kafka, ALIAS, old, old_digest, "test")
    result = RetrainReported(
        request_id="r1",
        alias=ALIAS,
        status=RetrainStatus.PROMOTE,
        time_ms=now_ms(),
        by="trainer",
        candidate=new,
        digest=digest,
    )
    stop, writer, topics, routes = (
        threading.Event(),
        Writer(kafka, "test"),
        RetrainTopics(kafka),
        Follower(kafka, tmp_path / "r"),
    )
    writer.append(RESULTS, result, id="r1", time_ms=result.time_ms)
    controller = Controller(kafka, ControllerSettings(), routes, "controller/x", in_folder(tmp_path), approval=RULE)
    thread = threading.Thread(target=controller.run, args=(stop,), daemon=True)

    def recorded(made: DecisionRecorded) -> None:
        writer.append(LEDGER, made, id=made.id, time_ms=made.time_ms)

    mirror = RegistryFollower(
        lambda: ordered(topics.all_routes, topics.results, approvals=True),
        lambda: topics.results,
        recorded,
        rest_s=0.0,
    )
    try:
        for each in (topics, routes, thread):
            each.start()
        wait(lambda: topics.ready() and new in listed(kafka), "the candidate waits", 30)
        mirror.turn(0.0, stop)
        assert not [each for each in decisions(kafka) if each.function == "rollout.step"]
        number = next(each.version for each in client.search_model_versions("") if each.tags["version"] == new)
        client.set_model_version_tag(ALIAS, str(number), "approved_by", "ann")
        client.set_registered_model_alias(ALIAS, "approved", str(number))
        for at_s in (1.0, 2.0):
            mirror.turn(at_s, stop)
        wait(lambda: any("approved by mlflow/ann" in each.summary for each in decisions(kafka)), "the rollout", 30)
        assert listed(kafka) == []
        wait(lambda: operations.routes(kafka)[ALIAS].canary == new, "the route, which comes after its decision", 30)
    finally:
        stop.set()
        thread.join(10)
        routes.close()
        topics.close()
        writer.close()
