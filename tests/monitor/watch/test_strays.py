"""A version's metric is that of most of its labels; the others are counted, and passed over."""

from __future__ import annotations

import msgspec
import pytest

from deploy.operator.status import lines
from monitor.findings import NotTested
from monitor.judge import AliasState
from monitor.policy import PolicyState
from monitor.watch import untested
from monitor.watch.record import VersionRecord, restored
from streams.judge.memory import JudgeRecord
from tests.monitor.support.graded import graded
from tests.monitor.support.standing import known_baseline
from tests.monitor.support.world import VERSION, World, make


def watch(at: World) -> VersionRecord:
    return at.state.watches[VERSION]


def status(at: World) -> list[str]:
    memory = JudgeRecord(alias="support", judge=at.state, policy=PolicyState())
    return list(lines(at.settings, {"support": memory}))


@pytest.mark.parametrize("strays", [1, 12])
def test_the_first_labels_do_not_settle_the_metric(strays: int) -> None:
    """A gateway of before judged a few labels by another metric; all that come after are by the alias's own."""
    at = make(1)
    ids = at.serve(300)
    at.label(ids[:strays], [0.5] * strays, metric="rouge_l")
    for low in range(strays, 300, 20):
        at.label(ids[low : low + 20], 0.95)
    assert (watch(at).metric, watch(at).strays) == ("exact_match", {"rouge_l": strays})
    known = known_baseline(at.settings, at.state, VERSION)
    assert (known.labelled, known.graded) == (300 - strays, False)
    assert f"support: passed over: labels of another metric than exact match: {strays} by ROUGE-L" in status(at)
    at.label(at.serve(100), 0.3)
    assert len(at.alarms("quality")) == 1


def test_labels_that_were_held_are_those_of_the_reference_once_they_are_most() -> None:
    at = make(2)
    ids = at.serve(300)
    at.label(ids[:10], [True] * 10)
    at.label(ids[10:15], [0.2] * 5, metric="rouge_l")
    assert (watch(at).metric, watch(at).strays) == ("exact_match", {"rouge_l": 5})
    at.label(ids[15:100], graded(at.rng, 85, 0.2, 0.1), metric="rouge_l")
    assert (watch(at).metric, watch(at).strays) == ("rouge_l", {"exact_match": 10})
    assert known_baseline(at.settings, at.state, VERSION).labelled == 90, "none of the held ones is lost"
    stored = msgspec.json.encode(at.state)
    assert msgspec.json.decode(stored, type=AliasState) == at.state


def test_before_the_reference_is_complete_most_labels_settle_it_too() -> None:
    at = make(3)
    ids = at.serve(200)
    at.label(ids[:20], [0.3] * 20, metric="token_f1")
    at.label(ids[20:90], 0.95)
    assert watch(at).metric == "exact_match"
    ids += at.serve(100)
    at.label(ids[200:], 0.95)
    assert known_baseline(at.settings, at.state, VERSION).labelled == 170
    assert watch(at).strays == {"token_f1": 20}


def test_one_stray_stops_no_test_and_closes_no_alarm() -> None:
    at = make(4)
    at.label(at.serve(300), 0.95)
    at.label(at.serve(60), 0.3)
    assert len(at.alarms("quality")) == 1
    at.label(at.serve(3), [0.4] * 3, metric="rouge_l")
    assert [each for each in at.findings if isinstance(each, NotTested)] == []
    assert list(watch(at).raised) == ["quality"]
    assert watch(at).strays == {"rouge_l": 3}
    at.label(at.serve(40), [0.4] * 40, metric="rouge_l")
    assert [each.kind for each in at.findings if isinstance(each, NotTested)] == ["quality"]
    assert ("quality", "") in untested.reasons(at.settings, restored(watch(at)))
    assert watch(at).metric == "exact_match", "the reference's labels settled it"
    assert status(at)[1] == "support: passed over: labels of another metric than exact match: 43 by ROUGE-L"
