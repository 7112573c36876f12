"""The same request with another group's term in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain.evaluation.fairness.terms import GroupTerms, read_terms
from streams.messages import Message
from tests.retrain.support.rows import row

GENDER = GroupTerms("gender", {"women": ["she", "Mrs", "old woman"], "men": ["he", "Mr", "old man"]})


@pytest.mark.parametrize(
    ("text", "swapped"),
    [
        ("She wrote to Mrs Hay.", "He wrote to Mr Hay."),
        ("HE IS AN OLD MAN", "SHE IS AN OLD WOMAN"),
        ("the shell: mrs. x", "the shell: Mr. x"),
        ("Where is my card?", None),
        ("he told her: she is late", None),
    ],
)
def test_terms_are_swapped_whole_and_as_they_are_written(text: str, swapped: str | None) -> None:
    found = GENDER.swapped(row(1, messages=[Message("user", text)]))
    assert (found.row.text if found else None) == swapped


def test_the_operators_words_stay_and_the_label_follows() -> None:
    asked = row(1, "he", messages=[Message("system", "He is the boss."), Message("user", "Was it he?")])
    found = GENDER.swapped(asked)
    assert found is not None
    assert [each.content for each in found.row.messages] == ["He is the boss.", "Was it she?"]
    assert (found.row.completion, found.group, found.other, found.row.unit) == ("she", "men", "women", asked.unit)


def test_each_of_several_other_groups_is_drawn() -> None:
    three = GroupTerms("faith", {"a": ["mosque"], "b": ["church"], "c": ["temple"]})
    swaps = [three.swapped(row(n, messages=[Message("user", "a church")])) for n in range(40)]
    assert {each.other for each in swaps if each} == {"a", "c"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("gender = ", "expected a table for each tag"),
        ("", "no tags, expected a table for each"),
        ("[gender]\nwomen = ['she']\n", "gender is .* expected a table of two groups or more"),
        ("[gender]\nwomen = ['she']\nmen = 'he'\n", r"gender\.men is 'he', expected a list of terms"),
        ("[gender]\nwomen = ['she']\nmen = ['he', 'his']\n", "expected as many for each group"),
        ("[gender]\nwomen = ['she']\nmen = ['She']\n", "has 'she' twice, expected each term in one place"),
    ],
)
def test_a_file_that_cannot_be_used_names_what_is_wrong(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "terms.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=problem):
        read_terms(str(path))
    assert read_terms("") == []
