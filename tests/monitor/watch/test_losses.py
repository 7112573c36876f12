"""Losses between 0 and 1, past the judge: an alarm in the metric's own words, and one metric at a time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from monitor.findings import NotTested, ReferenceFrozen, Window
from monitor.judge import AliasState
from monitor.rows import ScoreRows
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.graded import graded
from tests.monitor.support.standing import known_baseline, standings
from tests.monitor.support.world import VERSION, World, make


def scored(world: World, count: int, mean: float, sd: float, metric: str = "rouge_l") -> None:
    world.label(world.serve(count), graded(world.rng, count, mean, sd), metric=metric)


def summaries(seed: int = 0, mean: float = 0.48, sd: float = 0.15) -> World:
    world = make(seed)
    scored(world, 300, mean, sd)
    return world


def test_an_alarm_of_a_graded_metric_is_in_its_own_words() -> None:
    world = summaries()
    scored(world, 200, 0.48, 0.15)
    assert world.alarms("quality") == []
    for _ in range(10):
        scored(world, 20, 0.65, 0.15)
    (alarm,) = world.alarms("quality")
    assert f"{VERSION} has ROUGE-L 0.3" in alarm.summary
    assert alarm.summary.endswith("it was 0.51 in the reference")
    assert alarm.evidence["metric"] == "rouge_l"
    assert alarm.harm == pytest.approx(0.65, abs=0.03)


def test_an_alarm_of_right_and_wrong_says_how_many_are_right() -> None:
    world = make(1)
    world.label(world.serve(300), 0.95)
    world.label(world.serve(100), 0.3)
    (alarm,) = world.alarms("quality")
    assert "is right in " in alarm.summary
    assert "% of the " in alarm.summary


def test_what_no_answer_of_the_reference_reaches_by_half_can_still_get_worse() -> None:
    """All losses lie about 0.6: cut at a half, each would be wrong, and no alarm could ever be raised."""
    world = summaries(2, 0.6, 0.05)
    known = known_baseline(world.settings, world.state, VERSION)
    assert known.graded
    assert known.limit is not None
    assert known.limit < 0.66
    scored(world, 100, 0.8, 0.1)
    assert len(world.alarms("quality")) == 1


@pytest.mark.parametrize("loss", [0.001, 0.1, 0.3, 0.57])
def test_losses_that_are_all_the_same_do_not_depend_on_each_other(loss: float) -> None:
    """Their mean is rounded, so that all lie a little on one side of it: 300 were worth one, and left no room."""
    world = make(8)
    world.label(world.serve(300), [loss] * 300, metric="rouge_l")
    known = known_baseline(world.settings, world.state, VERSION)
    assert known.limit is not None
    assert (known.block, known.limit < loss + 0.05) == (1, True)
    world.label(world.serve(100), [loss + 0.2] * 100, metric="rouge_l")
    assert len(world.alarms("quality")) == 1


def test_a_reference_without_a_loss_is_still_of_a_graded_metric() -> None:
    world = make(9)
    world.label(world.serve(300), [0.0] * 300, metric="rouge_2")
    world.label(world.serve(40), [0.5] * 40, metric="rouge_2")
    (alarm,) = world.alarms("quality")
    assert "has ROUGE-2 0.50 in" in alarm.summary
    assert alarm.summary.endswith("it was 1.00 in the reference")


def test_a_reference_above_which_nothing_can_be_proven_is_named_with_its_score() -> None:
    world = summaries(3, 0.93, 0.03)
    scored(world, 100, 0.97, 0.02)
    assert world.alarms("quality") == []
    (reason, _) = [each.reason for each in world.findings if isinstance(each, NotTested)]
    assert "ROUGE-L is 0.07 in the reference's 300 labels: there is no room above that" in reason


def test_windows_and_the_reference_hold_the_sum_of_losses() -> None:
    world = make(4)
    losses = graded(world.rng, 300, 0.48, 0.15)
    world.label(world.serve(300), losses, metric="rouge_l")
    world.serve(400)
    windows = [each for each in world.findings if isinstance(each, Window)]
    assert sum(each.loss for each in windows) == pytest.approx(sum(losses))
    assert known_baseline(world.settings, world.state, VERSION).loss == pytest.approx(sum(losses), abs=1e-3)
    assert [each.loss for each in world.findings if isinstance(each, ReferenceFrozen)] == [0.0]


def test_losses_of_another_metric_are_not_compared_and_it_is_said() -> None:
    world = summaries(5)
    for _ in range(5):
        scored(world, 50, 0.9, 0.05, metric="token_f1")
    assert world.alarms("quality") == []
    assert standings(world.state)[VERSION].tested_labels == 0
    reasons = untested.reasons(world.settings, restored(world.state.watches[VERSION]))
    assert reasons["quality", ""].reason.startswith("F1 makes the losses of labels now, ROUGE-L those of the reference")
    assert [each.kind for each in world.findings if isinstance(each, NotTested)] == ["quality", "estimated_quality"]
    scored(world, 200, 0.7, 0.1)
    assert ("quality", "") not in untested.reasons(world.settings, restored(world.state.watches[VERSION]))
    assert len(world.alarms("quality")) == 1, "labels of the reference's metric are tested as before"


def test_confidence_is_calibrated_against_graded_losses() -> None:
    """A sure answer loses 0.3, an unsure one 0.7; then all become unsure, and nobody labels them."""
    world, rng = make(6), np.random.default_rng(6)

    def serve(count: int, unsure: float) -> tuple[list[str], list[float]]:
        doubt = rng.random(count) < unsure
        values = rng.standard_normal((count, len(NAMES)))
        values[:, -2:] = np.where(doubt, -3.0, -0.1)[:, None] - 0.05 * rng.random((count, 2))
        losses = np.clip(np.where(doubt, 0.7, 0.3) + rng.normal(0, 0.1, count), 0.0, 1.0).round(4).tolist()
        return world.serve(count, values=values), losses

    ids, losses = serve(300, 0.1)
    world.label(ids, losses, metric="rouge_l")
    serve(300, 0.1)
    assert world.alarms("estimated_quality") == []
    serve(300, 0.9)
    (alarm,) = world.alarms("estimated_quality")
    assert "seems to have only ROUGE-L 0.3" in alarm.summary
    assert alarm.evidence["estimated_accuracy"] == pytest.approx(0.34, abs=0.04)


def test_memories_and_scores_from_before_losses_are_read_as_losses() -> None:
    """Verdicts: -1 unknown, 0 wrong, 1 right."""
    world = make(7)
    world.label(world.serve(300), 0.9, metric="")
    world.label(world.serve(20), 0.9, metric="", ends_turn=False)
    known = known_baseline(world.settings, world.state, VERSION)
    old = msgspec.to_builtins(world.state)
    watch = old["watches"][VERSION]
    watch["labels"] = [-1 if loss < 0 else int(loss == 0.0) for loss in watch["losses"]]
    watch["adopted"] = []
    watch["known"] = {"labelled": known.labelled, "errors": int(known.loss), "steps": 1, "rate": 0.5, "worth": 1}
    for name in ("losses", "metric", "strange", "adopted_losses"):
        del watch[name]
    for label in old["turn"]:
        label["correct"] = label.pop("loss") == 0.0
    again = msgspec.convert(old, AliasState)
    assert known_baseline(world.settings, again, VERSION) == known
    assert [label.loss for label in again.turn] == [label.loss for label in world.state.turn]
    assert restored(again.watches[VERSION]).past.metric == ""
    rows = {"offsets": [1, 2, 3], "ids": ["a", "b", "c"], "times_ms": [1, 2, 3], "versions": ["v"] * 3}
    rows |= {"arms": ["champion"] * 3, "clients": ["c"] * 3, "correct": [True, None, False]}
    read = msgspec.convert(rows, ScoreRows)
    assert (read.losses, read.metrics) == ([0.0, None, 1.0], ["", "", ""])
    assert msgspec.convert(msgspec.to_builtins(read), ScoreRows) == read
