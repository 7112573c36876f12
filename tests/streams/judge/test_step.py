from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from monitor import judge, policy
from monitor.findings import Finding
from monitor.policy import Decision
from monitor.settings import MonitorSettings, PolicySettings
from streams import codec
from streams.events import DecisionRecorded, RetrainReported
from streams.judge.memory import JudgeRecord, start
from streams.judge.step import Effects, LogPosition, step
from streams.kinds import AlarmKind, DecisionKind
from tests.streams.support.scenario import RULES, positioned, records, rejected


def lived() -> tuple[JudgeRecord, list[Effects]]:
    memory, effects = start("support"), []
    for event, place in positioned(records()):
        memory, found = step(RULES, memory, event, place)
        effects.append(found)
    return memory, effects


MEMORY, EFFECTS = lived()
DECISIONS = [each for effects in EFFECTS for each in effects.decisions]


def test_harm_is_alarmed_and_a_retraining_asked_for_once() -> None:
    alarms = [alarm for effects in EFFECTS for alarm in effects.alarms if alarm.kind is AlarmKind.QUALITY]
    requests = [request for effects in EFFECTS for request in effects.requests]
    assert len(alarms) == len(requests) == 1
    assert requests[0].alarm_id == alarms[0].id
    assert requests[0].since_ms == alarms[0].onset_ms
    assert requests[0].champion == "support-0123456789ab"
    assert alarms[0].report == f"var/reports/{alarms[0].id}.html"


def test_where_only_people_act_alarms_are_the_same_and_nothing_is_retrained() -> None:
    rules = replace(RULES, policy=replace(RULES.policy, mode="observe"))
    memory, effects = start("support"), []
    for event, place in positioned(records()):
        memory, found = step(rules, memory, event, place)
        effects.append(found)
    alarms = [alarm for found in effects for alarm in found.alarms]
    assert [alarm.id for alarm in alarms] == [alarm.id for found in EFFECTS for alarm in found.alarms]
    assert {alarm.evidence["mode"] for alarm in alarms} == {"observe"}
    assert not any("mode" in alarm.evidence for found in EFFECTS for alarm in found.alarms)
    assert [request for found in effects for request in found.requests] == []
    decided = [each for found in effects for each in found.decisions if each.function == "policy.decide"]
    assert [each.summary for each in decided if "not asked for, policy.mode is observe" in each.summary]
    for each in decided:
        assert codec.plain(replayed(each)) == each.output, "the ledger has what it needs"


def test_every_label_is_in_a_window_or_still_open() -> None:
    closed = sum(window.labelled for effects in EFFECTS for window in effects.windows)
    still_open = sum(count.labelled for mine in MEMORY.judge.windows.counts.values() for count in mine.values())
    assert closed + still_open == 600


def test_a_record_that_the_memory_covers_changes_nothing() -> None:
    for event, place in positioned(records()):
        assert step(RULES, MEMORY, event, place) == (MEMORY, Effects())


@pytest.mark.slow
def test_handled_again_a_record_has_the_same_effects() -> None:
    assert lived() == (MEMORY, EFFECTS)


def test_ids_are_single() -> None:
    for name in ("decisions", "alarms", "windows", "requests"):
        ids = [each.id for effects in EFFECTS for each in getattr(effects, name)]
        assert len(ids) == len(set(ids)), name


def replayed(entry: DecisionRecorded) -> Any:
    """What the functions say to the recorded inputs, read back from JSON."""

    def read(name: str, kind: Any) -> Any:
        return msgspec.convert(entry.inputs[name], kind, strict=False, str_keys=True)

    if entry.function == "judge.update":
        batch = read("batch", judge.Batch)
        return judge.update(read("settings", MonitorSettings), read("state", judge.AliasState), batch)[1]
    observation = read("observation", policy.PolicyObservation)
    return policy.decide(read("settings", PolicySettings), read("state", policy.PolicyState), observation)[1]


@pytest.mark.parametrize("entry", DECISIONS, ids=lambda entry: entry.function)
def test_the_ledger_holds_what_derives_each_decision_again(entry: DecisionRecorded) -> None:
    again = msgspec.json.decode(msgspec.json.encode(entry), type=DecisionRecorded)
    assert codec.plain(replayed(again)) == again.output


def test_decisions_have_a_cause_and_words() -> None:
    assert {entry.kind for entry in DECISIONS} == {DecisionKind.ALARM, DecisionKind.POLICY}
    assert all(entry.cause and entry.summary for entry in DECISIONS)
    kinds: list[Any] = [list[Finding], list[Decision]]
    for entry in DECISIONS:
        assert msgspec.convert(entry.output, kinds[entry.kind is DecisionKind.POLICY], str_keys=True)


def test_a_lost_comparison_asks_for_labels() -> None:
    request = next(request for effects in EFFECTS for request in effects.requests)
    memory, effects = step(
        RULES, MEMORY, rejected("support", request.id), LogPosition("retrain.results", 0, 9, 3_000_000)
    )
    assert "ended reject" in effects.decisions[0].summary
    assert memory.policy.case is not None
    assert not memory.policy.case.request_id


@pytest.mark.slow
def test_paused_no_retraining_is_asked_for() -> None:
    memory, requests = start("support"), []
    for event, place in positioned(records()):
        memory, found = step(RULES, memory, event, place, paused=True)
        requests += found.requests
    assert requests == []
    assert isinstance(event, RetrainReported)
