"""Labels of replies that were drawn because they looked doubtful, weighed by their chance, through the judge."""

from __future__ import annotations

import msgspec
import pytest

from monitor.explain.examples import LabelledEvent
from monitor.findings import Window
from monitor.judge import AliasState, fresh_labels
from monitor.rows import ScoreRows, joined
from monitor.signals import estimated_quality, fairness
from monitor.signals.interface import About, Baseline, GivenLabel, LabelStep
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.drawing import HEALTHY, SETTINGS, SOURCE, TOLD, followed
from tests.monitor.support.world import VERSION, World


def why(at: World) -> list[str]:
    return untested.lines(untested.reasons(at.settings, restored(at.state.watches[VERSION])))


def test_few_drawn_labels_say_how_many_are_needed() -> None:
    at = followed(0.1, 120, 0).world
    assert any("of 300 labels that say what is usual have come from the source reviewer" in line for line in why(at))
    assert why(followed(0.1, 400, 0).world) == []


def test_harm_is_found_and_the_alarm_speaks_of_losses_not_of_fourths() -> None:
    found = followed(0.1, 3_000, 1, then=0.4)
    (alarm,) = found.world.alarms("quality")
    assert found.labels < HEALTHY + 250
    assert alarm.evidence["rests_on"] == SOURCE
    assert alarm.evidence["baseline"]["labelled"] == 300
    assert 15 < alarm.evidence["baseline"]["loss"] < 50, "a tenth of 300, though nearly half of those drawn is wrong"
    assert 0.13 < alarm.evidence["limit"] < 0.3
    assert 0.25 < alarm.harm < 0.65
    assert "It rests on labels drawn with a chance that each label carries" in alarm.summary
    assert fresh_labels(found.world.state, VERSION) > 20


def test_drawn_labels_count_nowhere_unweighed() -> None:
    """Not in the pooled baseline, which the estimate of quality goes by, nor in a window's accuracy, nor by group."""
    at = followed(0.1, 800, 2).world
    version = restored(at.state.watches[VERSION])
    assert (version.past.known.labelled if version.past.known else 0) == 0
    assert set(version.past.losses) == {-1.0}
    assert [each.labelled for each in at.findings if isinstance(each, Window) and each.labelled] == []


def test_drawn_labels_neither_refute_the_estimate_nor_compare_groups() -> None:
    """A tag of one group on each; surely right by their confidence, and all wrong."""
    known = About(
        "estimated_quality", VERSION, slices=["group=gold"], baseline=Baseline(100, 5.0, limit=0.1, enough=True)
    )
    labels = [GivenLabel(LabelledEvent(str(k), k, (0,), 1.0), 0.99, k) for k in range(50)]
    for signal in (estimated_quality, fairness):
        before = signal.start(SETTINGS, known)
        drawn, found = signal.update(SETTINGS, known, before, LabelStep(labels, source=SOURCE))
        chance, _ = signal.update(SETTINGS, known, before, LabelStep(labels, source="random/app"))
        assert (drawn, found) == (before, [])
        assert chance != before


def test_the_memory_goes_through_json_bit_for_bit() -> None:
    at = followed(0.1, 600, 3).world
    assert msgspec.json.decode(msgspec.json.encode(at.state), type=AliasState) == at.state


def test_a_label_by_chance_of_the_same_version_keeps_its_own_reference() -> None:
    at = World(SETTINGS, 4)
    at.label(at.serve(SETTINGS.reference_events)[:60], 0.9, origin="random/app")
    at.label([f"{VERSION}-x{k}" for k in range(400)], 0.5, origin=SOURCE, weights=[0.2] * 400)
    at.now_ms += 3_600_000
    at.serve(60)
    assert why(at) == []
    version = restored(at.state.watches[VERSION])
    assert version.past.sources == ["random/app", SOURCE]
    assert at.alarms("quality") == []


def test_rows_with_weights_join_rows_without() -> None:
    plain = ScoreRows(offsets=[0], ids=["a"], times_ms=[0], versions=["v"], arms=["champion"], clients=["c"])
    weighed = msgspec.structs.replace(plain, offsets=[1], weights=[2.0])
    assert joined([plain, weighed]).weights == [1.0, 2.0]
    assert joined([weighed, plain]).weights == [2.0, 1.0]
    assert joined([plain, plain]).weights == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0.1, 0.3])
def test_a_healthy_version_is_healthy_however_its_doubtful_answers_look(wrong: float) -> None:
    """Weights to four, 10,000 labels each; what is asked is one alarm in 10,000 labels. From label 350 on nearly all of
    the wrong answers look doubtful and are drawn, where a fifth of them were."""
    runs = [followed(wrong, 10_000, seed, told=TOLD) for seed in range(5)]
    assert sum(len(run.world.alarms("quality")) for run in runs) <= 1
    assert max(run.weighed for run in runs) > 3.0


@pytest.mark.slow
def test_unweighed_the_same_labels_would_raise_alarms() -> None:
    runs = [followed(0.1, 3_000, seed, told=TOLD, weighing=False) for seed in range(5)]
    assert sum(len(run.world.alarms("quality")) for run in runs) == 5


@pytest.mark.slow
def test_harm_is_found_within_some_hundred_labels() -> None:
    found = [followed(0.1, 1_500, seed, then=0.3) for seed in range(20)]
    assert sum(run.labels < HEALTHY + 500 for run in found) >= 19
