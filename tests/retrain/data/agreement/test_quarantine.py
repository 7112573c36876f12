"""Labels that people contradict teach nothing and judge nothing, and stay where an operator can look at them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from msgspec.structs import replace

from deploy.demo.world.world import world
from retrain.data.agreement.conflicts import DIVIDED, OUTVOTED, OVERRULED
from retrain.data.agreement.quarantine import ALONE, UNLIKE, UPHELD, Settled, parted
from retrain.data.dataset import build
from retrain.data.example import REHEARSAL, Example
from retrain.data.likeness import Likeness
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.retrain.support.questions import KINDS as KINDS_OF_TEXT
from tests.retrain.support.questions import WRAPS, Asked, answered
from tests.retrain.support.rows import row

PLAIN = Likeness.of()
KINDS = {
    "refund": "please give me back the money that i paid for",
    "parcel": "the parcel with my order is still missing, it was",
    "invoice": "i need a copy of the invoice and the tax number of",
    "login": "my password is refused when i sign in to",
}


def ask(number: int, kind: str, label: str, client: str, **changes: object) -> Example:
    text = f"{KINDS[kind]} {row(number).text.split()[0]}"
    return row(number, label, messages=[Message("user", text)], client=client, **changes)


def tickets(count: int, clients: int, first: int = 0, **changes: object) -> list[Example]:
    """Right labels, given by several clients in turn."""
    kinds = sorted(KINDS)
    return [
        ask(first + i, kinds[i % 4], kinds[i % 4], f"app/{(i // 4 + i) % clients}", **changes) for i in range(count)
    ]


def flood(count: int, first: int = 5_000, client: str = "app/flood") -> list[Example]:
    kinds = sorted(KINDS)
    return [ask(first + i, kinds[i % 4], kinds[(i + 1) % 4], client, time_ms=i) for i in range(count)]


def reasons(rows: list[Example]) -> Counter[str]:
    return Counter(each.quarantined for each in parted(rows, (), PLAIN)[1])


def test_labels_that_people_agree_on_are_all_believed() -> None:
    assert parted(tickets(200, 7), (), PLAIN) == (tickets(200, 7), [])


@pytest.mark.parametrize("clients", [2, 3, 9, 40])
def test_who_floods_wrong_labels_is_kept_out_and_nobody_else(clients: int) -> None:
    good, bad = tickets(240, clients), flood(60)
    kept, out = parted([*good, *bad], (), PLAIN)
    assert {each.id for each in bad} == {each.id for each in out}
    assert kept == good
    assert {each.quarantined for each in out} <= {ALONE, UNLIKE}


def test_of_two_who_contradict_each_other_the_healthy_time_sides_with_one() -> None:
    good, bad = tickets(160, 1), flood(40)
    healthy = tickets(60, 3, first=8_000, source=REHEARSAL)
    assert {each.client for each in parted([*good, *bad], healthy, PLAIN)[1]} == {"app/flood"}


def test_where_nobody_can_say_who_is_right_the_dataset_is_refused_and_names_who_disagree() -> None:
    """Two people answer the same sixty questions, each time differently."""
    rows = [
        row(i, label, id=f"{client}-{i}", client=client)
        for i in range(60)
        for client, label in (("app/0", "refund"), ("app/1", "parcel"))
    ]
    with pytest.raises(ValueError, match=r"120 of 120 have labels that are not believed.*app/0 \(60\), app/1 \(60\)"):
        build(RetrainSettings(), rows, [], [])


def test_most_people_decide_what_a_question_is_answered_and_a_person_counts_once() -> None:
    def given(*answers: tuple[str, str]) -> list[Example]:
        text = [Message("user", "Where is my money?")]
        asked = [row(i, label, client=client, messages=text, time_ms=i) for i, (client, label) in enumerate(answers)]
        others = [row(100 + i, label) for i, label in enumerate(["refund", "parcel"] * 4)]
        return [*asked, *others]

    assert reasons(given(("a", "refund"), ("b", "refund"), ("c", "parcel"))) == {OUTVOTED: 1}
    assert reasons(given(("a", "refund"), ("b", "parcel"))) == {DIVIDED: 2}
    assert reasons(given(*[("a", "refund")] * 9, ("b", "parcel"), ("c", "parcel"))) == {OUTVOTED: 9}
    assert not reasons(given(("a", "refund"), ("a", "parcel")))  # a person's newer answer takes the older one's place


def test_a_reviewer_overrules_clients() -> None:
    text = [Message("user", "Where is my money?")]
    asked = [row(i, "refund", client=f"c{i}", messages=text) for i in range(3)]
    reviewed = row(9, "parcel", client="c9", by="reviewer/ann", messages=text)
    others = [row(100 + i, label) for i, label in enumerate(["refund", "parcel"] * 4)]
    assert reasons([*asked, reviewed, *others]) == {OVERRULED: 3}


def test_one_label_that_is_unlike_those_of_its_neighbours_is_kept_out_and_only_that() -> None:
    stray = ask(900, "login", "refund", "app/3")
    _, out = parted([*tickets(200, 7), stray], (), PLAIN)
    assert [(each.id, each.quarantined) for each in out] == [(stray.id, UNLIKE)]


def test_a_new_label_that_several_people_give_is_believed() -> None:
    """It replaces another one, of which there are more rows: those are older."""
    old = [ask(i, "login", "login", f"app/{i % 9}", time_ms=i) for i in range(100)]
    new = [ask(500 + i, "login", "account", f"app/{i % 9}", time_ms=500 + i) for i in range(25)]
    others = tickets(100, 9, first=2_000)
    assert not [each for each in parted([*old, *new, *others], (), PLAIN)[1] if each.label == "account"]


def test_free_text_is_compared_with_nothing() -> None:
    rng = Random(1)
    rows = [ask(i, "login", f"answer {rng.random()}", f"app/{i % 3}") for i in range(60)]
    assert parted(rows, (), PLAIN) == (rows, [])


@pytest.mark.slow
@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("people", [1, 2, 8])
def test_answers_that_depend_on_a_day_a_number_a_name_a_date_or_a_without_are_believed(people: int, wrap: str) -> None:
    """`tests.bench.retrain.contradictions` measures more of them, and real contradictions."""
    for kind in KINDS_OF_TEXT:
        drawn = Asked(kind, f"a test {people}")
        fresh = answered(drawn, 60, people, WRAPS[wrap])
        healthy = answered(drawn, 120, people, WRAPS[wrap], REHEARSAL)
        assert not parted(fresh, healthy, Likeness.of(fresh, healthy))[1]


def test_an_answer_from_another_document_is_no_contradiction() -> None:
    def told(number: int) -> list[Message]:
        document = row(1_000 + number % 6).text
        return said(f"Answer from this document:\n{document} {document}\nQuestion: what does it cost?")

    rows = [row(i, f"it costs {100 + i % 6} euros", messages=told(i)) for i in range(48)]
    assert not parted(rows, (), Likeness.of(rows))[1]
    wrong = row(99, "it costs 103 euros", messages=told(0), client="app/wrong")
    assert [each.id for each in parted([*rows, wrong], (), Likeness.of(rows))[1]] == [wrong.id]


@pytest.mark.parametrize("number", ["order {}", "my {} parcels"])
def test_a_number_that_decides_nothing_hides_no_wrong_label(number: str) -> None:
    def numbered(each: Example, count: int) -> Example:
        return replace(each, messages=said(f"{each.text} {number.format(1_000 + count)}"))

    good, bad = tickets(240, 9), flood(60)
    rows = [numbered(each, count) for count, each in enumerate([*good, *bad])]
    assert {each.id for each in parted(rows, (), PLAIN)[1]} == {each.id for each in bad}


def test_one_who_labels_alone_may_call_a_class_otherwise_than_before() -> None:
    healthy = tickets(80, 1, first=8_000, source=REHEARSAL)
    renamed = [replace(each, completion=f"new {each.completion}") for each in tickets(80, 1)]
    assert parted(renamed, healthy, PLAIN) == (renamed, [])
    others = [replace(each, client="app/other") for each in healthy]
    assert parted(renamed, others, PLAIN)[1]


def test_what_an_operator_decided_holds() -> None:
    good, bad = tickets(240, 5), flood(60)
    settled = Settled(frozenset({bad[0].id, bad[1].id}), frozenset({good[0].id}))
    kept, out = parted([*good, *bad], (), PLAIN, settled)
    assert {bad[0].id, bad[1].id} <= {each.id for each in kept}
    assert [each.id for each in out if each.quarantined == UPHELD] == [good[0].id]


@pytest.mark.slow
def test_what_is_in_quarantine_neither_teaches_nor_judges() -> None:
    before, after = world(size="small")
    healthy = [row(9_000 + i, each.label, source=REHEARSAL, messages=said(each.text)) for i, each in enumerate(before)]
    good = [row(i, each.label, messages=said(each.text)) for i, each in enumerate(after[:340])]
    labels = sorted({each.label for each in good})
    bad = [
        row(i, labels[(labels.index(each.label) + 1) % len(labels)], client="app/flood", messages=said(each.text))
        for i, each in enumerate(after[340:400], 340)
    ]
    found = build(RetrainSettings(), [*good, *bad], healthy, [])
    assert len({each.id for each in bad} & {each.id for each in found.quarantine}) >= 50
    assert not {each.id for each in found.quarantine} & {each.id for each in [*found.rows, *found.lessons(2)]}
    assert sum(Counter(found.dropped)[each] for each in (ALONE, UNLIKE)) == len(found.quarantine)


def said(text: str) -> list[Message]:
    return [Message("user", text)]
