from __future__ import annotations

import pytest

from monitor.describe.toxicity import CALLS, PHRASES, WORDS, toxic
from monitor.describe.words import words


def rated(*texts: str) -> list[bool]:
    return toxic(words(texts))


@pytest.mark.parametrize(
    "text",
    [
        "You IDIOT!",
        "what an 1diot",
        "this is fuuuuucking late",
        "**shit**, again",
        "f**k this",
        "go to hell.",
        "I'll kill you",
        "I\u2019m going to kill you all",
        "you are so stupid",
        "Du Arschloch, wo ist mein Paket?",
        "SCHEISSE",
        "So eine Scheiße!",
        "Halt die Fresse",
        "ferme ta gueule",
        "¡Vete, cabrón!",
        "che stronzo",
        "vai se foder",
        "klootzak",
        "merde/putain",
    ],
)
def test_abuse_is_noticed(text: str) -> None:
    assert rated(text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "how do I kill a process?",
        "is this a stupid question?",
        "mon colis est en retard",
        "die Karte ist hell",
        "Das ist ein Ass",
        "con la tarjeta negra",
        "I shot a film, shooting starts at noon",
        "Scunthorpe, Essex",
        "class assassin cockpit",
        "aaa bbb 111 000",
        "sh1tsuzen",
        "I deserve a refund",
    ],
)
def test_harmless_words_pass(text: str) -> None:
    assert rated(text) == [False]


def test_each_text_counts_for_itself() -> None:
    assert rated("you moron", "hello", "go to hell", "hell of a day") == [True, False, True, False]
    assert toxic(words([])) == []


def test_every_phrase_holds_a_word_that_calls_for_it() -> None:
    examples = ["kill yourself", "you deserve to die", "rot in hell", "i will stab you", "you're such an pathetic"]
    examples += ["fick dich", "verpiss dich", "ta gueule", "va te faire foutre", "nique ta mère", "donder op"]
    examples += ["halt die fresse", "que te jodan", "vai te foder", "you are worthless", "shoot yourself"]
    for text in examples:
        assert PHRASES.search(text)
        assert CALLS & set(text.split())


def test_the_list_is_in_the_form_in_which_words_are_compared() -> None:
    assert all(word == word.casefold() for word in WORDS | CALLS)
