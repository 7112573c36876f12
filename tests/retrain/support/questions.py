"""Questions in free text whose answers depend on a day, a number, a name, a date, or a "without"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from retrain.data.example import FRESH, Example
from streams.messages import Message

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
BRANCHES = ("north gate", "harbour", "old town", "station", "market square", "riverside")
COUNTRIES = ("France", "Spain", "Norway", "Poland", "Chile", "Japan", "Kenya", "Brazil")
NAMES = ("Miller", "Okafor", "Jansen", "Rossi", "Novak", "Silva", "Tanaka", "Dubois")
TOPICS = ("invoices", "repairs", "contracts", "deliveries")
MONTHS = ("March", "April", "May", "June")
GOODS = ("kettle", "lamp", "chair", "drill", "tent", "radio", "clock", "vase")
GREETINGS = ("", "thanks", "hello,", "good morning,", "quick question:", "hi there,")
CLOSINGS = ("", "thank you", "cheers", "asking for a friend")
PROMPT = "You are the assistant of a shop. Answer in one sentence, politely, and only what you know for sure about us."
Wrap = Callable[[str], list[Message]]
WRAPS: dict[str, Wrap] = {
    "bare": lambda text: [Message("user", text)],
    "system prompt": lambda text: [Message("system", PROMPT), Message("user", text)],
    "template": lambda text: [Message("user", f"{PROMPT}\n\nThe customer writes:\n{text}\n\nDo not guess.")],
}


@dataclass(frozen=True, slots=True)
class Kind:
    """Questions in several words about two things, and the answer to each."""

    things: tuple[Sequence[str], Sequence[str]]
    words: tuple[str, ...]
    answer: Callable[[str, str, int], str]  # of the two things, and a number of their own


KINDS = {
    "days": Kind(
        (BRANCHES, DAYS),
        (
            "when do you open at the {0} branch on {1}?",
            "what are the opening hours on {1} in {0}?",
            "is the {0} shop open on {1}, and from when?",
            "{1} hours for {0} please",
        ),
        lambda one, other, number: f"Our {one} branch is open from {7 + number % 4} o'clock on {other}.",
    ),
    "numbers": Kind(
        ([str(number) for number in range(2, 14)], COUNTRIES),
        (
            "what does a parcel of {0} kilos to {1} cost?",
            "how much is it to send {0} kg to {1}?",
            "price for {0} kilos to {1} please",
            "I want to ship {0} kg to {1}, what do I pay?",
        ),
        lambda one, other, number: f"That costs {20 + number} euros with insurance.",
    ),
    "names": Kind(
        (NAMES, TOPICS),
        (
            "who looks after {1} for Mrs {0}?",
            "please give me the extension for {1} of customer {0}",
            "which desk handles {1} for {0}?",
            "Mrs {0} asks whom to call about {1}",
        ),
        lambda one, other, number: f"Please call extension {100 + number} about {other}.",
    ),
    "dates": Kind(
        ([str(number) for number in range(1, 29)], MONTHS),
        (
            "can I visit the museum on {0} {1}?",
            "is the museum open on {1} {0}?",
            "tickets for {0} {1}, is there a tour?",
        ),
        lambda one, other, number: f"On {one} {other} the museum has a tour at {9 + number % 9} o'clock.",
    ),
    "without": Kind(
        (GOODS, ("with", "without")),
        (
            "can I return a {0} {1} receipt?",
            "will you take back my {0} {1} the receipt?",
            "I want to bring back a {0} {1} its receipt, is that fine?",
        ),
        lambda one, other, number: (
            f"Any shop takes a {one} back within thirty days."
            if other == "with"
            else f"We are sorry, your {one} can be exchanged at the head office alone."
        ),
    ),
}


class Asked:
    """Questions of one kind, drawn with a seed; of so many different things where `few` says how many."""

    def __init__(self, kind: str, seed: str, few: int = 0) -> None:
        self.kind, self.rng = KINDS[kind], Random(f"{kind} {seed}")
        first, second = self.kind.things
        self.pairs = [(one, other) for one in first for other in second]
        self.numbers = {pair: number for number, pair in enumerate(self.pairs)}
        if few:
            self.pairs = self.rng.sample(self.pairs, few)

    def answer(self, pair: tuple[str, str]) -> str:
        """The right one."""
        return self.kind.answer(*pair, self.numbers[pair])

    def words(self, pair: tuple[str, str]) -> str:
        """As somebody may put it."""
        rng = self.rng
        parts = (rng.choice(GREETINGS), rng.choice(self.kind.words).format(*pair), rng.choice(CLOSINGS))
        return " ".join(filter(None, parts))

    def drawn(self, count: int) -> dict[str, tuple[str, str]]:
        """So many different questions, each with the things that it is about."""
        found: dict[str, tuple[str, str]] = {}
        for _ in range(100 * count):
            pair = self.rng.choice(self.pairs)
            found.setdefault(self.words(pair), pair)
            if len(found) == count:
                break
        return found

    def wrong(self, pair: tuple[str, str]) -> str:
        """An answer that belongs to other things."""
        others = {self.answer(each) for each in self.pairs} - {self.answer(pair)}
        return self.rng.choice(sorted(others))


def answered(drawn: Asked, count: int, people: int, wrap: Wrap, source: str = FRESH) -> list[Example]:
    """Rows with the right answers, each by one of so many people."""
    return [
        answered_row(f"{source}-{i}", text, drawn.answer(pair), f"app/{drawn.rng.randrange(people)}", i, wrap, source)
        for i, (text, pair) in enumerate(drawn.drawn(count).items())
    ]


def answered_row(id: str, text: str, answer: str, client: str, at: int, wrap: Wrap, source: str = FRESH) -> Example:
    """A row; those of the healthy time are older."""
    return Example(
        id=id,
        messages=wrap(text),
        completion=answer,
        source=source,
        client=client,
        time_ms=at if source == FRESH else at - 10**6,
        selection="random",
    )
