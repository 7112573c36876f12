"""Thumbs and scores of sources that choose replies whatever they say, through the judge: harm is found by each, in its
own words and against its own past, and never mixed with labels."""

from __future__ import annotations

import msgspec
import pytest

from monitor.findings import AlarmEnd
from monitor.judge import AliasState, fresh_labels
from monitor.selection.audit import chosen
from monitor.settings import MonitorSettings
from monitor.watch import untested
from monitor.watch.record import restored
from tests.monitor.support.graded import graded
from tests.monitor.support.standing import known_baseline
from tests.monitor.support.world import VERSION, World, make, people

USUAL, HARMED = 0.05, 0.3  # share of thumbs down


def thumbs(at: World, rounds: int, share: float, *, count: int = 20, origin: str = "random/app") -> None:
    """Serve rounds of fifty replies; of the first ones of each, people give a thumb."""
    for _ in range(rounds):
        ids = at.serve(50)[:count]
        at.rate(ids, (at.rng.random(count) < share).astype(float).tolist(), origin=origin)


def scores(at: World, rounds: int, mean: float) -> None:
    for _ in range(rounds):
        at.rate(at.serve(50)[:10], graded(at.rng, 10, mean, 0.1), measure="score")


def why(at: World) -> list[str]:
    return untested.lines(untested.reasons(at.settings, restored(at.state.watches[VERSION])))


def test_thumbs_alone_prove_harm_in_their_own_words() -> None:
    at = make(1)
    thumbs(at, 20, USUAL)
    assert at.alarms() == []
    assert why(at) == ["estimated_quality: 0 answers of the reference are labelled, 30 are needed"]
    thumbs(at, 20, HARMED)
    (alarm,) = at.alarms()
    assert (alarm.kind, alarm.severity) == ("quality", "critical")
    assert "has a thumb down on " in alarm.summary
    assert "it was 3% in the reference. It rests on thumbs given by chance, whatever the answer" in alarm.summary
    assert (alarm.evidence["rating"], alarm.evidence["rests_on"]) == ("thumb", "random/app")
    assert alarm.harm == pytest.approx(HARMED, abs=0.15)
    thumbs(at, 40, USUAL)
    assert [each.cause for each in at.findings if isinstance(each, AlarmEnd)] == ["quiet"]


def test_scores_are_graded_and_said_as_scores() -> None:
    at = make(2)
    scores(at, 40, 0.16)
    assert at.alarms() == []
    scores(at, 20, 0.38)
    (alarm,) = at.alarms("quality")
    assert "has a mean score of 0.6" in alarm.summary
    assert "it was 0.85 in the reference" in alarm.summary
    assert alarm.evidence["limit"] < 0.23, "scores that lie close together are known well"


def test_ratings_and_labels_have_nothing_to_do_with_each_other() -> None:
    """Half of the labels say wrong, and a twentieth of the thumbs: more thumbs or more labels are no harm."""
    at = make(3)
    ids = at.serve(300)
    at.label(ids[:100], 0.5, origin="random/app")
    at.rate(ids, (at.rng.random(300) < USUAL).astype(float).tolist())
    for k in range(40):
        ids = at.serve(50)
        at.label(ids[: 2 if k < 20 else 25], 0.5, origin="random/app")
        at.rate(ids[: 25 if k < 20 else 2], [0.0] * (25 if k < 20 else 2))
    assert at.alarms("quality") == []
    assert known_baseline(at.settings, at.state, VERSION).labelled == 100
    thumbs(at, 15, HARMED)
    (alarm,) = at.alarms("quality")
    assert alarm.evidence["rating"] == "thumb"
    assert alarm.evidence["baseline"]["labelled"] == 300


def test_nothing_is_learned_from_thumbs_so_a_retraining_waits_for_labels() -> None:
    at = make(4)
    thumbs(at, 20, USUAL)
    thumbs(at, 20, HARMED)
    assert len(at.alarms("quality")) == 1
    assert fresh_labels(at.state, VERSION) == 0
    at.label(at.serve(50), 0.5, origin="random/app")
    assert fresh_labels(at.state, VERSION) == 0, "labels that become the baseline are not tested"
    other = make(4)
    other.label(other.serve(300)[:100], 0.9, origin="random/app")
    thumbs(other, 20, USUAL)
    ids = other.serve(30)
    other.label(ids, 0.9, origin="random/app")
    thumbs(other, 20, HARMED)
    other.label(other.serve(25), 0.9, origin="random/app")
    assert fresh_labels(other.state, VERSION) == 25, "of those since the onset"


def test_each_reply_has_one_thumb_and_one_label() -> None:
    at = make(5)
    ids = at.serve(300)
    at.label(ids, [True] * 300, origin="random/app")
    at.rate(ids, [0.0] * 300)
    at.rate(ids, [1.0] * 300)
    later = at.serve(50)
    for loss in (0.0, 1.0, 1.0, 1.0):
        at.rate(later, [loss] * 50)
    at.label(later, [True] * 50, origin="random/app")
    assert at.alarms() == []
    watch = restored(at.state.watches[VERSION])
    assert watch.past.rated["thumb@random/app"].losses == [0.0] * 300
    assert watch.quality.test.count + sum(each.test.count for each in watch.quality.more.values()) == 100


def test_an_audit_is_rated_in_the_order_of_its_replies_and_missing_thumbs_count_against_harm() -> None:
    def audited(at: World, rounds: int, share: float, answered: float) -> None:
        before: list[str] = []
        for _ in range(rounds):
            ids = [f"{VERSION}-{at.sent + k}" for k in range(50)]
            mine = [id for id in ids if chosen(id, 0.2)]
            at.serve(50, cohorts=[["audit"] if id in mine else [] for id in ids])
            given = [id for id in before if at.rng.random() < answered]
            at.rate(given, (at.rng.random(len(given)) < share).astype(float).tolist(), origin="audit")
            before = mine

    at = make(6)
    audited(at, 40, USUAL, 1.0)
    assert at.alarms() == []
    audited(at, 30, HARMED, 1.0)
    (alarm,) = at.alarms("quality")
    assert (alarm.evidence["rests_on"], alarm.evidence["rating"]) == ("audit", "thumb")
    assert "thumbs of replies that were chosen before their answer was known" in alarm.summary
    few = make(6)
    audited(few, 40, USUAL, 0.6)
    audited(few, 30, HARMED, 0.6)
    assert few.alarms() == [], "two fifths without a thumb may all be content"


def test_labels_of_another_metric_close_no_alarm_of_thumbs() -> None:
    at = make(11)
    at.label(at.serve(300)[:100], 0.95, origin="random/app")
    thumbs(at, 20, USUAL)
    thumbs(at, 20, HARMED)
    for _ in range(3):
        at.label(at.serve(50), [0.3] * 50, metric="rouge_l", origin="random/app")
        thumbs(at, 1, HARMED)
    assert list(at.state.watches[VERSION].raised) == ["quality"]
    assert [line.split(":")[0] for line in why(at)] == ["estimated_quality"]


def test_before_enough_ratings_it_says_how_many_there_are() -> None:
    at = make(7)
    at.serve(300)
    thumbs(at, 2, USUAL)
    assert any("40 thumbs of the source app do not yet say what is usual" in line for line in why(at))
    assert at.alarms() == []


def test_a_file_of_thumbs_sorted_by_what_they_say_is_no_episode() -> None:
    at = make(8)
    thumbs(at, 20, 0.2)
    ids = at.serve(2_000)
    at.now_ms += 3_600_000
    for low in range(0, 2_000, 250):
        at.rate(ids[low : low + 250], [float(low + k >= 1_600) for k in range(250)])
        at.now_ms += 1_000
    at.now_ms += 5_000
    at.serve(10)
    assert at.alarms() == []


def test_a_sorted_file_may_say_what_is_usual() -> None:
    """The first hundred of it are all thumbs up."""
    at = make(8)
    at.serve(300)
    ids = at.serve(2_000)
    at.now_ms += 3_600_000
    for low in range(0, 2_000, 250):
        at.rate(ids[low : low + 250], [float(low + k >= 1_600) for k in range(250)])
        at.now_ms += 1_000
    at.now_ms += 5_000
    at.serve(10)
    losses = restored(at.state.watches[VERSION]).past.rated["thumb@random/app"].losses
    assert sum(losses) / len(losses) == pytest.approx(0.2, abs=0.1)
    thumbs(at, 20, 0.2)
    assert at.alarms() == []


@pytest.mark.parametrize("cut", [1, 7])
def test_how_ratings_are_cut_changes_nothing_and_the_memory_goes_through_json(cut: int) -> None:
    whole, parts = make(9), make(9)
    for at in (whole, parts):
        for k in range(40):
            ids = at.serve(50)[:20]
            losses = (at.rng.random(20) < (USUAL if k < 20 else HARMED)).astype(float).tolist()
            for low in range(0, 20, cut if at is parts else 20):
                high = low + (cut if at is parts else 20)
                at.rate(ids[low:high], losses[low:high], ends_turn=high >= 20)
            at.state = msgspec.json.decode(msgspec.json.encode(at.state), type=AliasState)
    assert whole.alarms() == parts.alarms() != []
    assert whole.state.watches == parts.state.watches


@pytest.mark.slow
def test_healthy_thumbs_and_scores_raise_no_more_alarms_than_was_asked() -> None:
    """20,000 ratings of three sources on each of four healthy worlds, people with their own taste among them: eight
    alarms were asked for at most; the limits have a tolerance, so there are fewer."""
    alarms = 0
    for seed in range(4):
        at = World(MonitorSettings(reference_events=300), 100 + seed)
        for _ in range(200):
            ids = at.serve(100, clients=people(100))
            at.rate(ids[:60], (at.rng.random(60) < 0.08).astype(float).tolist())
            at.rate(ids[60:80], (at.rng.random(20) < 0.3).astype(float).tolist(), origin="random/hard")
            at.rate(ids[80:], graded(at.rng, 20, 0.2, 0.15), measure="score")
        alarms += len(at.alarms("quality"))
    assert alarms <= 2
