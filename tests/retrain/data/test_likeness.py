"""What most rows share tells nothing: rows are alike where what differs is alike."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from retrain.data import duplicates
from retrain.data.dataset import Dataset, build
from retrain.data.duplicates import clusters
from retrain.data.example import REHEARSAL, Example
from retrain.data.likeness import Likeness
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.retrain.support.rows import row

Wrap = Callable[[int, str], list[Message]]


def words(count: int, first: int) -> str:
    """Made up ones, unlike any others'."""
    return " ".join(row(first + i).text for i in range(-(-count // 5)))


def plain(_: int, question: str) -> list[Message]:
    return [Message("user", question)]


def system_prompt(_: int, question: str) -> list[Message]:
    return [Message("system", words(40, 10_000)), Message("user", question)]


def template(_: int, question: str) -> list[Message]:
    return [Message("user", f"{words(75, 10_000)}\n\n{question}\n\n{words(75, 20_000)}")]


def examples(_: int, question: str) -> list[Message]:
    shots = [Message(role, words(10, at)) for at, role in enumerate(["user", "assistant"] * 4, 30_000)]
    return [*shots, Message("user", question)]


def several_templates(number: int, question: str) -> list[Message]:
    return [Message("user", f"{words(60, 10_000 * (1 + number % 3))}: {question}")]


def templates_of_ten_teams(number: int, question: str) -> list[Message]:
    return [Message("user", f"{words(150, 10_000 * (1 + number % 10))}\n\n{question}")]


def documents(number: int, question: str) -> list[Message]:
    """An answer is looked for in one of twenty."""
    found = words(180, 10_000 * (1 + number * 7 % 20))
    return [Message("user", f"Answer from this document:\n{found}\nQuestion: {question}")]


def many_tenants(number: int, question: str) -> list[Message]:
    return [Message("system", words(60, 10_000 * (1 + number % 12))), Message("user", question)]


def changed_prompt(number: int, question: str) -> list[Message]:
    return [Message("system", words(60, 10_000 if number < 200 else 20_000)), Message("user", question)]


WRAPS = [
    plain,
    system_prompt,
    template,
    examples,
    several_templates,
    templates_of_ten_teams,
    documents,
    many_tenants,
    changed_prompt,
]


def asked(wrap: Wrap, first: int, count: int, **changes: object) -> list[Example]:
    return [row(i, "ab"[i % 2], messages=wrap(i, row(i).text), **changes) for i in range(first, first + count)]


def made(wrap: Wrap) -> Dataset:
    """From 120 fresh rows and 160 of the healthy time: a half of these asks what a fresh one asks, but for a word."""
    unseen = asked(wrap, 300, 80, source=REHEARSAL)
    twins = [row(500 + i, "a", messages=wrap(i, row(i).text + " eh"), source=REHEARSAL) for i in range(0, 120, 2)]
    return build(RetrainSettings(), asked(wrap, 0, 120), [*twins, *unseen], [])


@pytest.mark.slow
@pytest.mark.parametrize("wrap", WRAPS)
def test_a_dataset_can_be_made_behind_any_template(wrap: Wrap) -> None:
    found = made(wrap)
    assert len(found.train) + found.dropped["twin of a regression row"] == 88
    assert len(found.train) >= 60
    assert len(found.validation) == 32
    assert len(found.regression) >= 40
    assert len(found.rehearsal) >= 40


@pytest.mark.slow
@pytest.mark.parametrize("wrap", WRAPS)
def test_twins_are_never_on_both_sides_whatever_all_rows_share(wrap: Wrap) -> None:
    found = made(wrap)
    assert found.dropped["twin of a validation row"] == 16
    parts = ([*found.train, *found.rehearsal], found.validation, found.regression)
    questions = [{words for each in part for words in question(each)} for part in parts]
    assert not any(one & other for i, one in enumerate(questions) for other in questions[:i])


def question(each: Example) -> set[str]:
    """The made up words that only the row and its twin have."""
    number = int(each.id.removeprefix("id-"))
    return set(row(number - 500 if number >= 500 else number).text.split())


def numbers(rows: Sequence[Example]) -> list[int]:
    return Likeness.of(rows).clusters(rows)


def test_one_question_asked_by_many_is_no_template() -> None:
    flood = [row(i, messages=plain(i, f"where is my new card number {i}, it has not come")) for i in range(40)]
    found = numbers([*flood, *asked(plain, 100, 60)])
    assert found == [0] * 40 + list(range(40, 100))


def test_exact_repetitions_make_no_template() -> None:
    same = [row(i, messages=plain(i, row(0).text)) for i in range(200)]
    assert numbers([*same, *asked(plain, 300, 20)]) == [0] * 200 + list(range(200, 220))


def test_short_questions_behind_a_system_prompt_stay_apart() -> None:
    rows = [row(i, messages=system_prompt(i, f"{i * i} + {i}")) for i in range(40)]
    assert numbers(rows) == list(range(40))


def test_what_is_asked_about_may_be_what_differs() -> None:
    """The document comes first, the question is always the same."""
    rows = [
        row(i, messages=[Message("system", words(80, i * 20)), *plain(i, "Sum this up in a line.")]) for i in range(20)
    ]
    assert numbers(rows) == list(range(20))


@pytest.mark.parametrize("form", ["{document}\n{question}", "{question}\n\n{document}"])
def test_questions_about_documents_of_a_few_rows_each_stay_apart(form: str) -> None:
    """Of 300 words, three rows each; a question that is asked again about the same one does not."""
    documents = [words(300, 10_000 * (1 + number)) for number in range(20)]
    texts = [form.format(document=documents[i // 3], question=row(i).text) for i in range(60)]
    rows = [row(i, messages=plain(i, text)) for i, text in enumerate(texts)]
    assert numbers(rows) == list(range(60))
    again = row(1_000, messages=plain(0, form.format(document=documents[5], question=f"{row(17).text}!")))
    assert numbers([*rows, again])[-1] == 17


@pytest.mark.parametrize("edit", ["a word", "the last word", "a line at the end"])
def test_a_long_message_with_an_edit_is_the_same(edit: str) -> None:
    rows = [row(i, messages=plain(i, words(120, 1_000 * (1 + i)))) for i in range(20)]
    said = rows[7].messages[-1].content.split()
    edited = {
        "a word": [*said[:60], "otherwise", *said[61:]],
        "the last word": [*said[:-1], "otherwise"],
        "a line at the end": [*said, "\nThanks, Ann"],
    }[edit]
    again = row(1_000, messages=plain(0, " ".join(edited)))
    assert numbers([*rows, again])[-1] == 7


def loan(draw: random.Random) -> str:
    """A record as a sentence: what stands between its values is too short for a run."""
    asked, term = f"{draw.randint(5, 90)}000 EUR", draw.choice([12, 24, 36, 48, 60])
    earned = f"earns {draw.randint(20, 150)}000 EUR a year, asks for {asked} over {term} months"
    return f"Applicant is {draw.randint(20, 70)} years old, {earned}, has {draw.randint(0, 4)} open loans. Approve?"


def intent(draw: random.Random) -> str:
    """Three characters are a question, behind a prompt of seventeen."""
    return (
        "\u8bf7\u5224\u65ad\u7528\u6237\u7684\u610f\u56fe\uff0c\u53ea\u8f93\u51fa\u7c7b\u522b\u540d\u79f0\uff1a"
        + "".join(chr(draw.randint(0x4E00, 0x4EFF)) for _ in range(3))
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", [loan, intent])
def test_names_of_fields_are_no_likeness(kind: Callable[[random.Random], str]) -> None:
    draw = random.Random(1)
    rows = [row(i, messages=plain(i, kind(draw))) for i in range(200)]
    sizes = Counter(numbers(rows)).values()
    assert max(sizes) <= 10
    again = row(1_000, messages=plain(0, f" {rows[7].text} "))
    assert numbers([*rows, again])[-1] == numbers(rows)[7]


def test_rows_that_are_nothing_but_the_template_are_alike() -> None:
    rows = [row(i, messages=template(i, "" if i % 2 else row(i).text)) for i in range(20)]
    assert numbers(rows) == [1 if i % 2 else i for i in range(20)]


@pytest.mark.slow
def test_likeness_costs_no_more_for_each_row_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def counted(one: frozenset[str], other: frozenset[str]) -> float:
        compared.append(1)
        return len(one & other) / len(one | other)

    monkeypatch.setattr(duplicates, "similarity", counted)
    crowd = [f"{row(1).text} {row(2).text} {row(3).text} {i}" for i in range(600)]
    assert clusters(crowd) == [0] * 600
    rows = asked(template, 0, 600)
    assert numbers(rows) == list(range(600))
    assert len(compared) <= 2 * 600
