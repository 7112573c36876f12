"""What a candidate is judged on, it has never seen; what the fresh rows contradict, it is not taught."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.data.dataset import Missing, build, capped, once, split, stale_labels, still_true
from retrain.data.duplicates import clusters
from retrain.data.example import REHEARSAL, Example
from retrain.data.likeness import Likeness
from retrain.data.refusals import refuses
from retrain.data.rehearsal import balanced
from retrain.data.shares import judged
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.retrain.support.rows import row, rows

SETTINGS = RetrainSettings(regression_rows=20, rehearsal_rows=30)
PLAIN = Likeness.of()  # nothing is shared


def ask(text: str, label: str, number: int, **changes: object) -> Example:
    return row(number, label, messages=[Message("user", text)], **changes)


@pytest.mark.slow
def test_what_is_learned_and_what_is_judged_on_share_no_question_and_no_near_duplicate() -> None:
    fresh, unseen, seen = rows(120), rows(80, first=60, source=REHEARSAL), rows(60, first=500, source=REHEARSAL)
    found = build(SETTINGS, fresh, unseen, seen)
    parts = ([*found.train, *found.rehearsal], found.validation, found.regression)
    numbers = clusters([each.text for part in parts for each in part])
    sizes = [len(part) for part in parts]
    sets = [set(numbers[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(3)]
    assert not any(one & other for i, one in enumerate(sets) for other in sets[:i])
    assert min(sizes) > 0


@pytest.mark.slow
@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=8, max_size=60))
def test_a_split_never_parts_near_duplicates(drawn: list[tuple[int, int]]) -> None:
    fresh = [ask(f"{row(base).text}{'!' * ending}", "a", 100 + i) for i, (base, ending) in enumerate(drawn)]
    train, validation = split(once(fresh, Counter()), SETTINGS, PLAIN)
    keys = {each.key for each in train}
    assert not [each for each in validation if each.key in keys]


def test_the_newest_rows_are_judged_on() -> None:
    train, validation = split(rows(100), SETTINGS, PLAIN)
    assert len(validation) == 32
    assert max(each.time_ms for each in train) < min(each.time_ms for each in validation)


def test_conversations_that_go_on_at_a_time_leave_as_many_to_judge_on_as_single_rows() -> None:
    """Ten at a time, of eight turns each: where only rows counted, most of the newest belonged to older talks."""
    turns = [row(i, conversation=f"c{i // 80 * 10 + i % 10}") for i in range(800)]
    train, validation = split(turns, SETTINGS, Likeness.of(turns))
    begun = [{each.conversation for each in part} for part in (train, validation)]
    assert (len(begun[0] & begun[1]), len(begun[1])) == (0, len(split(rows(100), SETTINGS, PLAIN)[1]))


@pytest.mark.slow
@pytest.mark.parametrize(("wrong", "judges"), [(1.0, 200), (0.62, 200), (0.29, 200), (0.2, 376), (0.0, 400)])
def test_the_less_there_is_to_gain_the_more_rows_are_judged_on(wrong: float, judges: int) -> None:
    """At first 80 at most, in which a candidate that was truly 10 points better passed in 4 of 100."""
    assert judged(800, wrong, RetrainSettings()) == judges
    fresh = [row(i, predicted="" if i < 800 * wrong else "refund") for i in range(800)]
    built = build(RetrainSettings(), fresh, [], [])
    assert (len(built.train), len(built.validation)) == (800 - judges, judges)


@pytest.mark.slow
def test_a_flooding_client_is_capped_where_there_are_others() -> None:
    flood = [row(i, client="mallory") for i in range(100)]
    others = rows(50, first=200)
    dropped: Counter[str] = Counter()
    kept = capped([*flood, *others], 0.2, PLAIN, dropped)
    assert sum(each.client == "mallory" for each in kept) == 30
    assert dropped["client over its cap"] == 70


@pytest.mark.parametrize(("clients", "kept"), [(2, 75), (3, 50), (5, 30)])
def test_a_flooding_client_is_capped_among_few_too(clients: int, kept: int) -> None:
    flood = [row(i, client="mallory") for i in range(120)]
    others = [row(200 + i, client=f"app-{i % (clients - 1)}") for i in range(30)]
    found = capped([*flood, *others], 0.2, PLAIN, Counter())
    assert sum(each.client == "mallory" for each in found) == kept
    assert len(found) == kept + 30


def test_one_question_in_many_ways_gains_a_client_nothing() -> None:
    flood = [ask(f"where is my new card number {i}, it has not come", "lost", i, client="mallory") for i in range(90)]
    own = [row(300 + i, client="mallory") for i in range(4)]
    others = rows(45, first=200)
    found = capped([*flood, *own, *others], 0.2, PLAIN, Counter())
    hers = [each for each in found if each.client == "mallory"]
    assert len(hers) == 10
    assert {each.id for each in own} < {each.id for each in hers}


def test_a_single_client_is_not_capped() -> None:
    assert len(capped([row(i, client="app") for i in range(100)], 0.2, PLAIN, Counter())) == 100


def test_the_newest_answer_to_a_question_counts() -> None:
    dropped: Counter[str] = Counter()
    (kept,) = once([ask("Where?", "new", 9), ask("where", "old", 3)], dropped)
    assert kept.completion == "new"
    assert dropped["exact duplicate"] == 1


def test_a_fresh_answer_overrules_an_old_one() -> None:
    dropped: Counter[str] = Counter()
    assert still_true([ask("Where is it?", "old", 1)], [ask("where is it", "new", 2)], dropped, PLAIN) == []
    assert dropped["contradicted by a fresh row"] == 1


def renamed(count: int = 8) -> tuple[list[Example], list[Example]]:
    """The same questions under another name: ones like those that the champion knows as `lost`."""
    known = [ask(f"my parcel number {i} got lost on the way", "lost", i, source=REHEARSAL) for i in range(20)]
    fresh = [
        ask(f"my parcel number {50 + i} got lost on the way", "missing", 50 + i, predicted="Lost") for i in range(count)
    ]
    return known, fresh


def test_a_renamed_label_is_stale() -> None:
    known, fresh = renamed()
    assert stale_labels(fresh, known, PLAIN) == {"lost"}


def test_a_label_that_merely_does_not_occur_now_is_kept() -> None:
    """New questions were taken for it, but they are nothing like its own."""
    known, _ = renamed()
    fresh = [row(i, "brand new", predicted="lost") for i in range(300, 312)]
    assert stale_labels(fresh, known, PLAIN) == frozenset()


def test_a_label_that_somebody_still_gives_is_kept() -> None:
    known, fresh = renamed()
    alive = ask("my parcel number 99 got lost on the way", "lost", 99, predicted="other")
    assert stale_labels([*fresh, alive], known, PLAIN) == frozenset()


def test_few_contradictions_prove_nothing() -> None:
    known, fresh = renamed(4)
    assert stale_labels(fresh, known, PLAIN) == frozenset()


REFUSAL = "I can't help with that."


@pytest.mark.parametrize("label", [REFUSAL, "Dabei kann ich nicht helfen.", "none of these"])
def test_an_answer_to_questions_of_all_kinds_is_not_stale(label: str) -> None:
    """The champion gives it too often now, and what must have it still must."""
    healthy = [*rows(30, label, source=REHEARSAL), *rows(90, "abc", first=200, source=REHEARSAL)]
    healthy = [msgspec.structs.replace(each, completion=label) if i < 30 else each for i, each in enumerate(healthy)]
    fresh = [row(500 + i, "refund", predicted=label) for i in range(40)]
    assert stale_labels(fresh, healthy, PLAIN) == frozenset()
    assert len(still_true(healthy, fresh, Counter(), PLAIN)) == 120


REFUSALS = [REFUSAL, "Dabei kann ich Ihnen nicht helfen.", "Je ne peux pas vous aider.", "Lo siento, no puedo."]
REFUSALS += ["抱歉我无法回答这个问题。", "申し訳ありませんが、お答えできません。", "Извините, я не могу помочь."]

REFUSALS += ["Unfortunately, I can't give medical advice.", "I can only answer questions about our products."]
REFUSALS += ["We cannot give investment advice.", "Maaf, saya tidak bisa membantu Anda.", "Tyvärr kan jag inte hjälpa."]
REFUSALS += ["I'm not qualified to give medical advice.", "Entschuldigung, dabei kann ich nicht helfen."]


@pytest.mark.parametrize("label", ["I cannot log in", "can't log in", "sorry", "I want a refund", "do not disturb"])
def test_a_class_may_be_worded_as_a_client_speaks(label: str) -> None:
    assert not refuses(label)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_never_stale_but_where_it_was_proven_wrong(refusal: str) -> None:
    known, fresh = renamed()
    refused = [msgspec.structs.replace(each, completion=refusal) for each in [*known, *rows(20, first=700)]]
    fresh = [msgspec.structs.replace(each, predicted=refusal) for each in fresh]
    assert stale_labels(fresh, refused, PLAIN) == frozenset()
    dropped: Counter[str] = Counter()
    kept = still_true(refused, fresh, dropped, PLAIN)
    assert {each.text for each in kept} == {each.text for each in rows(20, first=700)}
    assert dropped["contradicted by a fresh row"] == 20


def test_a_renamed_label_is_stale_among_others() -> None:
    known, fresh = renamed()
    healthy = [*known, *rows(90, "abc", first=200, source=REHEARSAL)]
    assert stale_labels(fresh, healthy, PLAIN) == {"lost"}


def test_free_text_is_rehearsed_as_it_comes() -> None:
    """As classes of one each, answers came in the order of the alphabet, and refusals hardly ever."""
    answers = [row(i, f"{row(i + 5_000).text}.", source=REHEARSAL) for i in range(160)]
    refused = [row(300 + i, REFUSAL, source=REHEARSAL) for i in range(40)]
    found = balanced([*answers, *refused], 100, [], 1, PLAIN)
    assert 10 <= sum(each.completion == REFUSAL for each in found) <= 30
    firsts = sorted(each.completion for each in found if each.completion != REFUSAL)
    assert firsts[len(firsts) // 2] > sorted(each.completion for each in answers)[len(answers) // 4]


def test_rare_labels_are_a_class_together() -> None:
    many = [*rows(90, "abc", source=REHEARSAL), *(row(200 + i, f"rare {i}", source=REHEARSAL) for i in range(6))]
    found = Counter(each.label for each in balanced(many, 40, [], 1, PLAIN))
    assert sum(count for label, count in found.items() if label.startswith("rare")) == 6
    assert {found[label] for label in "abc"} <= {11, 12}


def test_each_subject_of_free_text_is_rehearsed_however_rare() -> None:
    """Nine tenths are about one subject: drawn by chance, forty rows would have about one of each other's five."""
    subjects = ("my parcel is late and the carrier", "the invoice shows a tax that", "a lamp that flickers when")
    counts = (180, 10, 10)
    many = [
        ask(f"{subject} {row(1_000 * place + i).text.split()[0]}", row(5_000 + 1_000 * place + i).text, 200 * place + i)
        for place, (subject, count) in enumerate(zip(subjects, counts, strict=True))
        for i in range(count)
    ]
    found = Counter(each.text[:8] for each in balanced(many, 30, [], 1, PLAIN))
    assert min(found[subject[:8]] for subject in subjects) >= 8


def test_rehearsal_is_balanced_over_labels() -> None:
    many = [*rows(90, "a", source=REHEARSAL), *rows(10, "b", first=200, source=REHEARSAL)]
    assert Counter(each.label for each in balanced(many, 20, [], 1, PLAIN)) == {"a": 10, "b": 10}


def test_rehearsal_makes_up_for_what_the_fresh_rows_leave_out() -> None:
    many = [*rows(60, "abc", source=REHEARSAL)]
    taught = [*rows(20, "a", first=200), *rows(3, "b", first=300)]
    assert Counter(each.label for each in balanced(many, 20, taught, 2, PLAIN)) == {"b": 7, "c": 13}


def test_regression_rows_are_ones_the_champion_was_not_trained_on() -> None:
    unseen, seen = rows(40, first=300, source=REHEARSAL), rows(40, first=600, source=REHEARSAL)
    found = build(SETTINGS, rows(60), unseen, seen)
    assert {each.id for each in found.regression} <= {each.id for each in unseen}
    assert {each.id for each in found.rehearsal} & {each.id for each in seen}


def test_what_the_champion_was_trained_on_is_no_regression_row_however_few_there_are() -> None:
    unseen, seen = rows(4, first=300, source=REHEARSAL), rows(26, first=600, source=REHEARSAL)
    found = build(SETTINGS, rows(60), unseen, seen)
    assert {each.id for each in found.regression} == {each.id for each in unseen}
    assert len(found.rehearsal) == 26


def test_half_of_the_healthy_time_is_left_to_rehearsal() -> None:
    found = build(SETTINGS, rows(60), rows(30, first=300, source=REHEARSAL), [])
    assert (len(found.regression), len(found.rehearsal)) == (15, 15)


def twins(of: list[Example]) -> list[Example]:
    """The same questions in other dress."""
    return [ask(f"{each.text} eh", each.completion, 10_000 + each.time_ms) for each in of]


def test_rows_that_the_champion_or_an_ancestor_has_met_prove_nothing() -> None:
    fresh, unseen = rows(80), rows(60, first=300, source=REHEARSAL)
    familiar = [*twins(fresh[70:]), fresh[0], *twins(unseen[:25]), *unseen[25:30]]
    found = build(SETTINGS, fresh, unseen, [], familiar=familiar)
    met = clusters([each.text for each in [*familiar, *found.validation, *found.regression]])
    assert not set(met[: len(familiar)]) & set(met[len(familiar) :])
    assert {each.id for each in fresh[70:]} <= {each.id for each in found.train}
    assert (len(found.validation), len(found.regression)) == (judged(80, 1.0, SETTINGS), 20)
    assert found.dropped["not judged on: the champion has met it"] == 11 + 30


@pytest.mark.slow
def test_where_the_champion_has_met_all_there_is_nothing_to_judge_on() -> None:
    unseen = rows(60, first=300, source=REHEARSAL)
    found = build(SETTINGS, rows(60), unseen, [], familiar=twins(unseen))
    assert (found.regression, len(found.rehearsal)) == ([], 30)
    with pytest.raises(
        ValueError, match=r"60 to train on and 0 to judge on.*; 60 not judged on: the champion has met it"
    ):
        build(SETTINGS, rows(60), unseen, [], familiar=twins(rows(60)))


@pytest.mark.slow
def test_there_is_no_more_rehearsal_than_news() -> None:
    found = build(RetrainSettings(rehearsal_ratio=1.0), rows(40), rows(300, first=300), [])
    assert len(found.rehearsal) == len(found.train) == 20


@pytest.mark.slow
def test_the_same_rows_make_the_same_dataset() -> None:
    parts = (rows(60), rows(40, first=300), rows(40, first=600))
    assert msgspec.json.encode(build(SETTINGS, *parts)) == msgspec.json.encode(build(SETTINGS, *parts))


def test_too_little_is_said_clearly() -> None:
    with pytest.raises(ValueError, match="0 to train on and 0 to judge on"):
        build(SETTINGS, [], rows(10), [])


def test_volunteered_rows_are_taught_and_judge_nothing() -> None:
    fresh = [*rows(60), *rows(40, first=100, selection="volunteered")]
    unseen = [*rows(40, first=200, source=REHEARSAL), *rows(40, first=300, source=REHEARSAL, selection="volunteered")]
    found = build(SETTINGS, fresh, unseen, [])
    assert {each.selection for each in (*found.validation, *found.regression)} == {"random"}
    assert sum(each.selection == "volunteered" for each in found.train) == 40
    assert found.dropped["not judged on: its label was volunteered"] == 40


def test_volunteered_rows_alone_are_taught_for_fair_ones_may_still_come() -> None:
    found = build(SETTINGS, rows(40, selection="volunteered"), [], [])
    assert (len(found.train), found.validation) == (40, [])


def test_audited_rows_without_a_label_are_judged_on_with_their_neighbours() -> None:
    fresh = rows(80, selection="audit")
    absent = [row(1_000 + k, "", time_ms=k, selection="audit") for k in range(80)]
    old = [row(2_000 + k, "", time_ms=k, source=REHEARSAL, selection="audit") for k in range(40)]
    unseen = rows(40, first=200, source=REHEARSAL, selection="audit")
    found = build(SETTINGS, fresh, unseen, [], missing=Missing(absent, old))
    first = min(each.time_ms for each in found.validation if not each.unlabelled)
    assert {each.id for each in found.validation if each.unlabelled} == {e.id for e in absent if e.time_ms >= first}
    labelled = sum(not each.unlabelled for each in found.regression)
    assert 0 < sum(each.unlabelled for each in found.regression) <= labelled + 1
    assert not any(each.unlabelled for each in (*found.train, *found.rehearsal))
