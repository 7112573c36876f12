"""What prompts share says nothing; what is their own says as much as if it stood alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from monitor.describe.descriptors import NAMES, DescribedReplies, Describer, ReplyText
from monitor.reference.shared import SharedText, of_reference, own_text

Floats = NDArray[np.float64]
Wrap = Callable[[Generator, str], str]

VOCABULARY = [f"{a}{b}" for a in ("ka", "lo", "mi", "ne", "ru", "so", "ta", "vu") for b in ("der", "lin", "mas", "pol")]
CONTENT = [NAMES.index(f"prompt_content_{k}") for k in (1, 2, 3)]
LENGTH = NAMES.index("prompt_chars")
PROMPT = range(NAMES.index("prompt_content_3") + 1)


def prose(seed: int, words: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(f"{rng.choice(VOCABULARY)}{rng.integers(90)}" for _ in range(words))


RULES = {words: prose(words, words) for words in (150, 600)}


def asked(rng: Generator, some: Sequence[str] = VOCABULARY) -> str:
    return " ".join(rng.choice(some, int(rng.integers(6, 25)))) + "?"


def described(rng: Generator, wrap: Wrap, count: int, some: Sequence[str] = VOCABULARY) -> DescribedReplies:
    prompts = [wrap(rng, asked(rng, some)) for _ in range(count)]
    return Describer().read([ReplyText(prompt, "refund", 20, 1, -0.1, -0.2) for prompt in prompts])


def learned(found: DescribedReplies) -> tuple[SharedText, Floats, list[int]]:
    shared, own = of_reference(NAMES, found.values.tolist(), found.prints, found.passages)
    return shared, np.array(own.rows), own.prints


def left(shared: SharedText, found: DescribedReplies) -> Floats:
    return np.array(own_text(shared, NAMES, found.values.tolist(), found.prints, found.passages).rows)


def documents(pool: int, words: int = 300) -> Wrap:
    texts = [prose(1_000 + number, words + number % 50) for number in range(pool)]
    return lambda rng, question: f"{texts[int(rng.integers(pool))]}\n{question}"


def shots(rng: Generator, question: str) -> str:
    lines = [f"Message: {prose(2_000 + k, 12)}" for k in rng.choice(50, 5, replace=False).tolist()]
    return "\n".join([*lines, f"Message: {question}"])


WRAPS: dict[str, Wrap] = {
    "instruction of 150": lambda _, question: f"{RULES[150]} {question}",
    "instruction of 600": lambda _, question: f"{RULES[600]} {question}",
    "before an appendix": lambda _, question: f"{question}\n{RULES[600]}",
    "in the middle": lambda _, question: f"{RULES[600]}\n{question}\n{RULES[150]}",
    "two templates": lambda rng, question: f"{RULES[(150, 600)[int(rng.integers(2))]]}\n{question}",
    "json": lambda _, question: f'{{"policy":"{RULES[600]}","ticket":"{question}","state":"open"}}',
    "examples from a pool": shots,
    "documents from a pool": documents(60),
}

DILUTING = ("two templates", "documents from a pool")  # what all prompts share moves no rank


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPS)
def test_new_subjects_move_what_is_left_as_they_move_bare_questions(name: str) -> None:
    """By at least two thirds of as many standard deviations, however many words prompts share."""

    def moved(wrap: Wrap, *, cut: bool) -> float:
        rng = np.random.default_rng(3)
        before, after = described(rng, wrap, 1_000), described(rng, wrap, 1_000, VOCABULARY[:16])
        if cut:
            shared, one, _ = learned(before)
            other = left(shared, after)
        else:
            one, other = before.values, after.values
        apart = (other.mean(axis=0) - one.mean(axis=0))[CONTENT] / one.std(axis=0)[CONTENT]
        return float(np.abs(apart).max())

    bare = moved(lambda _, question: question, cut=False)
    assert moved(WRAPS[name], cut=True) >= bare * 2 / 3
    if name in DILUTING:
        assert moved(WRAPS[name], cut=False) < bare / 2


def test_fingerprints_behind_a_template_differ_as_their_questions_do() -> None:
    """Whole, most of their bits are the template's."""
    found = described(np.random.default_rng(0), WRAPS["instruction of 600"], 300)
    _, _, prints = learned(found)
    varied = [_varied(found.prints, range(64)), _varied(prints, range(48, 64))]
    assert varied[0] < 0.5
    assert varied[1] > 0.9


def _varied(prints: Sequence[int], bits: range) -> float:
    """The share of the bits that are neither set nor unset in nine of ten texts."""
    shares = [float(np.mean([text >> bit & 1 for text in prints])) for bit in bits]
    return float(np.mean([0.1 < share < 0.9 for share in shares]))


@pytest.mark.slow
@pytest.mark.parametrize("pool", [40, 150, 400, 1_000, 3_000])
def test_events_of_the_reference_look_like_later_ones_whatever_share_of_it_a_document_is_in(pool: int) -> None:
    """Of 20 references of 1,000 events, later ones' means differ by no more than chance explains."""
    wrap, worst = documents(pool, 60), []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        shared, own, _ = learned(described(rng, wrap, 1_000))
        later = left(shared, described(rng, wrap, 1_000))
        errors = np.sqrt((own.var(axis=0) + later.var(axis=0)) / 1_000) + 1e-9
        worst.append((later.mean(axis=0) - own.mean(axis=0))[PROMPT] / errors[PROMPT])
    apart = np.array(worst)
    assert np.abs(apart.mean(axis=0)).max() < 4.0 / 20**0.5 + 0.4
    assert np.sqrt((apart**2).mean(axis=0)).max() < 2.0


def test_what_shares_nothing_stays_as_it_is_to_the_last_bit() -> None:
    found = described(np.random.default_rng(0), lambda _, question: question, 300)
    shared, rows, prints = learned(found)
    assert shared == SharedText()
    assert (rows == found.values).all()
    assert prints == found.prints
    assert (left(shared, found) == found.values).all()


def test_a_question_asked_often_is_no_context() -> None:
    """Alone it is the whole prompt; behind a template it is short."""
    often = "where is my card that you sent on monday morning to my old address in leeds, please?"
    found = described(np.random.default_rng(0), lambda rng, question: often if rng.random() < 0.3 else question, 300)
    assert learned(found)[0] == SharedText()
    short = ("where is my card?", "i lost it")
    rng = np.random.default_rng(0)
    behind = described(rng, lambda rng, _: f"{RULES[150]}\n{short[int(rng.integers(2))]}", 300)
    _, rows, prints = learned(behind)
    assert len(set(rows[:, LENGTH].tolist())) == len(set(prints)) == 2


@pytest.mark.parametrize(
    ("wrap", "many"),
    [
        (f"{RULES[150]}\n{{}}", 1),
        (f"{RULES[150]}\n{{}}", 5),
        (f"{RULES[150]}\n{{}}", 60),
        (f"{RULES[150]} {{}}\n{RULES[600]}", 5),
    ],
)
def test_the_long_questions_of_a_form_stay_the_same(wrap: str, many: int) -> None:
    """All of such a prompt is shared, and every event has one of few values: a little less in each is drift."""
    few = [prose(3_000 + number, 20 + number % 9) for number in range(many)]
    rng = np.random.default_rng(0)
    before, later = (described(rng, lambda rng, _: wrap.format(rng.choice(few)), 600) for _ in range(2))
    shared, rows, prints = learned(before)
    assert shared.hashes
    assert set(map(tuple, left(shared, later))) == set(map(tuple, rows))
    assert set(own_text(shared, NAMES, later.values.tolist(), later.prints, later.passages).prints) == set(prints)


def test_events_without_passages_stay_as_they_are() -> None:
    """A worker of an earlier version sends none."""
    rng = np.random.default_rng(0)
    found = described(rng, WRAPS["instruction of 150"], 100)
    shared, _, _ = learned(found)
    later = described(rng, WRAPS["instruction of 150"], 4)
    mixed = own_text(shared, NAMES, later.values.tolist(), later.prints, [b"", *later.passages[1:]])
    assert mixed.rows[0] == later.values[0].tolist()
    assert mixed.rows[1] != later.values[1].tolist()
    assert own_text(shared, NAMES, later.values.tolist(), later.prints, []).prints == later.prints


def test_a_new_template_is_a_change() -> None:
    rng = np.random.default_rng(0)
    shared, rows, _ = learned(described(rng, WRAPS["instruction of 150"], 300))
    later = left(shared, described(rng, WRAPS["instruction of 600"], 300))
    assert later[:, LENGTH].min() > rows[:, LENGTH].max()
