from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from deploy.demo.data import read
from deploy.demo.world.intents import LEAVING, STAYING
from deploy.demo.world.novelties import ARRIVING, STILL
from deploy.demo.world.world import SHIFTS, TWINS, Shift, world, write
from deploy.operator.rows import LabelledRow

Worlds = dict[Shift, tuple[list[LabelledRow], list[LabelledRow]]]


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    return {shift: world(0, shift) for shift in SHIFTS}


def labels(rows: list[LabelledRow]) -> Counter[str]:
    return Counter(row.label for row in rows)


def triples(text: str) -> set[tuple[str, ...]]:
    words = ["", *text.lower().split(), ""]
    return set(zip(words, words[1:], words[2:], strict=False))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_world_another_seed_another(worlds: Worlds) -> None:
    assert world(0, "polite") == worlds["polite"]
    assert world(1, "polite") != worlds["polite"]


def test_every_shift_starts_from_the_same_world(worlds: Worlds) -> None:
    assert worlds["none"][0] == worlds["polite"][0] == worlds["new intents"][0]


@pytest.mark.parametrize("shift", SHIFTS)
def test_there_are_enough_messages_and_no_two_are_the_same(worlds: Worlds, shift: Shift) -> None:
    before, after = worlds[shift]
    assert (len(before), len(after)) == (1300, 1000)
    texts = [row.text.casefold() for row in before + after]
    assert len(set(texts)) == len(texts)


def test_messages_of_an_intent_are_not_near_twins(worlds: Worlds) -> None:
    rows = [row.text for row in worlds["new intents"][0] if row.label == "track order"]
    sets = [triples(text) for text in rows]
    shared = [len(a & b) / len(a | b) for i, a in enumerate(sets) for b in sets[:i]]
    assert max(shared) <= TWINS


def test_before_has_at_least_twelve_intents_of_two_or_three_lower_case_words(worlds: Worlds) -> None:
    names = labels(worlds["none"][0])
    assert len(names) >= 12
    everything = {intent.label for intent in (*STAYING, *LEAVING, *ARRIVING)}
    assert [label for label in everything if not re.fullmatch(r"[a-z]+( [a-z]+){1,2}", label)] == []
    assert min(names.values()) > 50


def test_after_the_shift_half_of_the_intents_stay_and_new_ones_take_most_of_the_traffic(worlds: Worlds) -> None:
    before, after = (labels(rows) for rows in worlds["new intents"])
    new = set(after) - set(before)
    assert 6 <= len(new) <= 8
    assert len(set(before) & set(after)) == len(before) // 2
    assert sum(after[label] for label in new) / after.total() == pytest.approx(0.6, abs=0.02)


def test_some_of_the_staying_intents_are_worded_otherwise() -> None:
    old = {intent.label: intent for intent in STAYING + LEAVING}
    assert sum(intent != old[intent.label] for intent in STILL) >= 3


@pytest.mark.parametrize("shift", ["none", "polite"])
def test_harmless_shifts_bring_no_new_intent(worlds: Worlds, shift: Shift) -> None:
    before, after = worlds[shift]
    assert set(labels(before)) == set(labels(after))


def test_polite_messages_are_much_longer(worlds: Worlds) -> None:
    mean = {shift: sum(len(row.text.split()) for row in worlds[shift][1]) / 1000 for shift in SHIFTS}
    assert mean["polite"] > 2.5 * mean["none"]


@pytest.mark.parametrize("shift", SHIFTS)
def test_no_blank_or_choice_is_left_open(worlds: Worlds, shift: Shift) -> None:
    before, after = worlds[shift]
    assert [row for row in before + after if re.search(r"[\[\]{}|]|  | [?.,]|^\s|\s$", row.text)] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_no_seed_runs_out_of_wordings(seed: int) -> None:
    assert len(world(seed)[1]) == 1000


@pytest.mark.slow
def test_a_written_world_is_read_back(worlds: Worlds, tmp_path: Path) -> None:
    write(tmp_path / "deep" / "data", 0, "polite")
    assert read(tmp_path / "deep" / "data") == worlds["polite"]


def test_an_unknown_shift_is_named() -> None:
    with pytest.raises(ValueError, match=r"'sideways', expected one of 'new intents', 'none', 'polite'"):
        world(0, "sideways")  # type: ignore[arg-type]


def test_a_small_world_has_six_intents_at_a_time_and_half_of_them_stay() -> None:
    before, after = world(0, "new intents", "small")
    assert (len(before), len(after)) == (840, 500)
    assert (len(labels(before)), len(labels(after)), len(set(labels(before)) & set(labels(after)))) == (6, 6, 3)
