"""What Prometheus sees of alarms: kept from the log, gone with the version and with the partition."""

from __future__ import annotations

from dataclasses import replace as replace_settings

import prometheus_client
import pytest
from msgspec.structs import replace

from monitor.findings import Gap
from monitor.judge import AliasState
from monitor.watch.version import UnresolvedAlarm
from streams import codec
from streams.events import WindowClosed
from streams.judge.agent import JudgeAgent
from streams.judge.alias_gauges import UNUSED_MS, AliasGauges
from streams.judge.memory import JudgeRecord, start
from streams.log.read import Raw
from streams.topics import SCORES, STATE
from tests.streams.judge.test_answers import ALARMED, VERSION, life, lived, operator_answer
from tests.streams.support import scenario
from tests.streams.support.fakes import FakeLog
from tests.streams.support.scenario import RULES, chunks

ALIAS = "support"


def value(name: str, version: str = VERSION, **labels: str) -> float | None:
    found = {"alias": ALIAS, "version": version} | ({"about": ""} if name.startswith("alarm_") else {}) | labels
    return prometheus_client.REGISTRY.get_sample_value(f"homeostat_{name}", found)


def series(version: str) -> list[str]:
    return [
        sample.name
        for metric in prometheus_client.REGISTRY.collect()
        for sample in metric.samples
        if sample.labels.get("version") == version and sample.labels.get("alias") == ALIAS
    ]


@pytest.fixture(autouse=True)
def clean() -> None:
    AliasGauges(RULES.monitor).take_away([ALIAS])


def judge_agent(log: FakeLog) -> JudgeAgent:
    return JudgeAgent(RULES, log, lambda partition: log.raws(STATE), lambda alias: False, lambda alarm: None)


@pytest.mark.slow
async def test_an_open_alarm_is_shown_until_it_is_over() -> None:
    worker, taken = judge_agent(FakeLog()), life(operator_answer())
    await worker.take(chunks(taken[: ALARMED - 6]))
    assert value("alarm_open", kind="quality") == 0.0
    assert value("alarm_onset_seconds", kind="quality") is None
    await worker.take(chunks(taken[ALARMED - 6 : ALARMED]))
    (raised,) = worker.partitions[0].store.get(ALIAS).judge.watches[VERSION].raised.values()
    assert value("alarm_open", kind="quality") == 1.0
    assert value("alarm_open", kind="drift") == 0.0
    assert value("alarm_onset_seconds", kind="quality") == raised.onset_ms / 1_000
    assert value("alarm_harm_ratio", kind="quality") == raised.harm > 0.3
    await worker.take(chunks(taken[ALARMED : ALARMED + 1]))
    assert value("alarm_open", kind="quality") == 0.0
    assert value("alarm_onset_seconds", kind="quality") is None
    assert value("alarm_harm_ratio", kind="quality") is None


@pytest.mark.slow
def test_an_open_alarm_hides_no_other_of_its_kind() -> None:
    """Refusals that somebody looks into already, and then private data: that is a page of its own."""
    gauges, (memory, _) = AliasGauges(RULES.monitor), lived()
    watch, raised = memory.judge.watches[VERSION], {}
    for about, onset_ms, harm in (("refusal", 1_000, 0.5), ("output_pii", 2_000, 0.1)):
        raised[f"safety/{about}"] = UnresolvedAlarm(onset_ms, onset_ms, kind="safety", about=about, harm=harm)
        gauges.show(replace(memory, judge=replace(memory.judge, watches={VERSION: replace(watch, raised=raised)})))
        of_it = {"kind": "safety", "about": about}
        assert value("alarm_open", **of_it) == 1.0
        assert (value("alarm_onset_seconds", **of_it), value("alarm_harm_ratio", **of_it)) == (onset_ms / 1_000, harm)
    del raised["safety/refusal"]
    gauges.show(replace(memory, judge=replace(memory.judge, watches={VERSION: replace(watch, raised=raised)})))
    assert value("alarm_open", kind="safety", about="refusal") == 0.0
    assert value("alarm_onset_seconds", kind="safety", about="refusal") is None
    assert value("alarm_open", kind="safety", about="output_pii") == 1.0
    gauges.take_away([ALIAS])
    assert (series(VERSION), gauges.subjects) == ([], {})


@pytest.mark.slow
async def test_a_worker_that_takes_a_partition_over_shows_what_is_open_at_once() -> None:
    log, taken = FakeLog(), life()
    mine = judge_agent(log)
    await mine.take(chunks(taken[:ALARMED]))
    mine.forget()
    assert series(VERSION) == []
    other = judge_agent(log)
    nothing_new = Raw(0, ALARMED, 0, b"", codec.encode(scenario.passed(1)))
    await other.take(chunks([(SCORES.name, nothing_new)]))
    assert value("alarm_open", kind="quality") == 1.0
    assert value("alarm_onset_seconds", kind="quality") is not None
    other.forget()
    assert series(VERSION) == []


@pytest.mark.slow
async def test_a_worker_whose_partition_went_while_it_wrote_shows_nothing() -> None:
    worker: JudgeAgent

    def rebalanced() -> None:
        worker.forget()

    log = FakeLog(asked=rebalanced)
    worker = judge_agent(log)
    await worker.take(chunks(life()[:ALARMED]))
    assert series(VERSION) == []


def window(version: str, end_ms: int, requests: int = 10) -> WindowClosed:
    return WindowClosed(
        id=f"{version}-{end_ms}",
        alias=ALIAS,
        version=version,
        start_ms=end_ms - 1_000,
        end_ms=end_ms,
        requests=requests,
        errors=0,
        labelled=10,
        loss=1.0,
        estimated_accuracy=0.5,
        latency_p50_ms=1.0,
        latency_p95_ms=1.0,
        evidence={},
    )


def served_by(memory: JudgeRecord, version: str) -> JudgeRecord:
    watches = memory.judge.watches | {version: replace(memory.judge.watches[VERSION], version=version, raised={})}
    return replace(memory, judge=replace(memory.judge, champion=version, watches=watches))


@pytest.mark.slow
def test_a_version_that_was_replaced_takes_its_series_with_it() -> None:
    gauges, (memory, _) = AliasGauges(RULES.monitor), lived()
    gauges.show(memory, [window(VERSION, 1_000)])
    assert value("accuracy_ratio") == 0.9
    assert value("evidence_ratio", detector="quality") is not None
    after = served_by(memory, "support-new")
    gauges.show(after, [window("support-new", 2_000), window(VERSION, 2_000)])
    assert series(VERSION) == []
    assert value("accuracy_ratio", "support-new") == 0.9
    assert value("alarm_open", "support-new", kind="quality") == 0.0


@pytest.mark.slow
def test_a_candidate_is_shown_while_it_answers() -> None:
    gauges, (memory, _) = AliasGauges(RULES.monitor), lived()
    gauges.show(memory, [window(VERSION, 1_000), window("support-canary", 1_000)])
    assert value("accuracy_ratio", "support-canary") == 0.9
    assert value("alarm_open", "support-canary", kind="quality") is None
    gauges.show(memory, [window("support-canary", 2_000 + UNUSED_MS, requests=0), window(VERSION, 2_000 + UNUSED_MS)])
    assert series("support-canary") == []


@pytest.mark.slow
def test_an_estimate_that_was_withdrawn_is_shown_no_longer() -> None:
    """A minute without requests withdraws nothing."""
    gauges, (memory, _) = AliasGauges(RULES.monitor), lived()
    gauges.show(memory, [window(VERSION, 1_000)])
    gauges.show(memory, [replace(window(VERSION, 2_000, requests=0), estimated_accuracy=None)])
    assert value("estimated_accuracy_ratio") == 0.5
    gauges.show(memory, [replace(window(VERSION, 3_000), estimated_accuracy=None)])
    assert value("estimated_accuracy_ratio") is None


@pytest.mark.slow
def test_a_group_that_cannot_be_compared_any_more_is_shown_no_longer() -> None:
    """As after an operator accepted what is normal now: all groups begin again."""
    gauges, (memory, _) = AliasGauges(RULES.monitor), lived()
    gaps = [
        Gap(key="language", value=each, measure="quality", pairs=40, mean=0.2, low=0.1, high=0.3, raised=True)
        for each in ("de", "fr")
    ]
    of_german = {"tag": "language", "group": "de", "measure": "quality"}
    gauges.show(memory, [replace(window(VERSION, 1_000), gaps=gaps)])
    assert value("group_gap_ratio", **of_german) == 0.2
    gauges.show(memory, [replace(window(VERSION, 2_000), gaps=gaps[1:])])
    assert value("group_gap_ratio", **of_german) is None
    assert value("group_gap_ratio", **of_german | {"group": "fr"}) == 0.2
    gauges.show(memory, [window(VERSION, 3_000)])
    assert "homeostat_group_gap_ratio" not in series(VERSION)
    gauges.take_away([ALIAS])
    assert gauges.gaps == {}


@pytest.mark.slow
def test_labels_that_are_missing_are_shown_until_the_partition_goes() -> None:
    gauges, (memory, _) = AliasGauges(replace_settings(RULES.monitor, min_reference_labels=10_000)), lived()
    gauges.show(memory)
    labelled = memory.judge.watches[VERSION].losses
    shown = prometheus_client.REGISTRY.get_sample_value("homeostat_labels_wanted", {"alias": ALIAS})
    assert shown == 10_000 - sum(loss >= 0 for loss in labelled)
    gauges.take_away([ALIAS])
    assert prometheus_client.REGISTRY.get_sample_value("homeostat_labels_wanted", {"alias": ALIAS}) is None


def test_an_alias_without_a_champion_shows_nothing() -> None:
    gauges = AliasGauges(RULES.monitor)
    gauges.show(start(ALIAS))
    assert series(VERSION) == []
    assert AliasState(alias=ALIAS).champion == ""
