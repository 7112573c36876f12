"""Questions as applications send them: bare, behind an instruction, behind a document that was looked up, at the end of
a conversation, among examples.

Deterministic in their seeds; all texts are made by the grammar of the questions themselves.

>>> [message.role for message in request("conversation", Random(0), "Where is my order?")][-3:]
['user', 'assistant', 'user']
>>> len(request("instruction 150", Random(0), "Where is my order?")[0].content.split()) - 4
150
"""

from __future__ import annotations

from functools import cache
from random import Random
from typing import Literal, get_args

from deploy.demo.world.grammar import everyday, sentences
from deploy.demo.world.intents import LEAVING, STAYING
from streams.messages import Message

Kind = Literal["bare", "instruction 150", "instruction 600", "documents", "conversation", "examples"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DOCUMENTS = 200  # that are looked up in
DOCUMENT_CHARS = 5_000
TURNS = 10  # of a conversation, the question among them
POOL, SHOTS = 50, 6  # examples to draw from, and how many are shown

_RULES = (
    "If the customer [writes|asks] about {label}, [answer with|choose|name] {label} and [nothing else|no other word].",
    "Never [promise|mention] a [refund|date|price] [before|unless] the team [has confirmed|confirms] it.",
    "Messages [in another language|with typos|in capitals] are [treated|read] like [all|any] others.",
)


def request(kind: Kind, rng: Random, question: str) -> list[Message]:
    """Return the messages of one request. `rng` draws what differs between requests besides the question. Raise
    ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, expected one of {', '.join(map(repr, KINDS))}")
    if kind == "bare":
        return [Message("user", question)]
    if kind == "documents":
        found = document(rng.randrange(DOCUMENTS))
        return [Message("user", f"Answer from this article:\n{found}\nThe customer asks: {question}")]
    if kind == "conversation":
        earlier = [Message(role, _line(rng)) for _ in range(TURNS - 1) for role in ("user", "assistant")]
        return [Message("system", instruction(150)), *earlier, Message("user", question)]
    if kind == "examples":
        shots = "\n".join(f"Message: {_shot(one)}" for one in rng.sample(range(POOL), SHOTS))
        return [Message("user", f"{shots}\nMessage: {question}")]
    return [Message("user", f"{instruction(int(kind.split()[1]))} {question}")]


@cache
def instruction(words: int) -> str:
    """Return an instruction of so many words."""
    rng, found = Random(words), list[str]()
    while len(found) < words:
        rule = rng.choice(_RULES).replace("{label}", rng.choice(STAYING + LEAVING).label)
        found += sentences(rng, rule)[0].split()
    return " ".join(found[:words])


@cache
def document(number: int) -> str:
    """Return the document with this number, in paragraphs."""
    rng, lines, size = Random(number + 1), list[str](), 0
    while size < DOCUMENT_CHARS:
        lines.append(" ".join(_line(rng) for _ in range(rng.randint(2, 6))))
        size += len(lines[-1]) + 1
    return "\n".join(lines)[:DOCUMENT_CHARS]


@cache
def _shot(number: int) -> str:
    return _line(Random(number + 1_000))


def _line(rng: Random) -> str:
    return everyday(rng, rng.choice(STAYING + LEAVING))
