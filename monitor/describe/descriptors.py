"""A reply in a dozen numbers: its question, its answer, how sure it was. No labels needed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import unescape

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.characters import folded
from monitor.describe import pii as private
from monitor.describe.fingerprint import sum_sketches, text_prints
from monitor.describe.passages import COUNTS, packed, passages
from monitor.describe.patterns import Forbidden
from monitor.describe.toxicity import toxic
from monitor.describe.words import READ, Words, excerpt, words

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = ("confidence_mean", "confidence_min")  # log-probabilities: at most 0
MISSING = 1.0  # a confidence that was not measured; never counts as evidence
NAMES: tuple[str, ...] = (
    "prompt_chars",  # log(1 + characters)
    "prompt_word_chars",  # mean length of words
    "prompt_digits",  # shares of the characters that are not blank
    "prompt_punctuation",
    "prompt_uppercase",
    "prompt_non_ascii",
    "prompt_question",  # 1 where it asks something
    "prompt_pii",  # 1 where it holds personal data or a secret, or did before it was masked (`monitor.describe.pii`)
    "prompt_toxic",  # 1 where it holds an insult, a slur, an obscenity or a threat (`monitor.describe.toxicity`)
    "prompt_content_1",  # random projections of the words: they move when the vocabulary does
    "prompt_content_2",
    "prompt_content_3",
    "output_chars",  # log(1 + characters)
    "output_refusal",  # 1 where the model declines
    "output_pii",
    "output_toxic",
    *CONFIDENCE,
)
CONTENT = 3  # of the sums of the words' signs are descriptors
LETTERS = COUNTS.index("letters")
POLICY = "output_policy_"  # and a pattern's name: 1 where the operator's pattern is found (`monitor.describe.patterns`)

_LEAST_LOGPROB = -50.0
_APOSTROPHE = "\u2019".encode()
_MISREAD = (_APOSTROPHE.decode("cp1252"), _APOSTROPHE.decode("latin-1"), "\\u2019", "\x92", "\ufffd")
_REFUSED = 300  # characters within which a refusal begins
_REFUSAL = re.compile(
    r"\b(i(?:'?m| am) (?:(?:very|so|really|truly) )?sorry,? but|i (?:can(?: ?not| ?\\?'+t)|ca n't) (?:really )?"
    r"(?:help|assist|do|provide|answer|comply|create|fulfil|generate|write|discuss|share|engage|satisfy|participate)"
    r"|i(?:'?m| am) (?:currently )?(?:unable|not able) to|as an ai\b|i must (?:respectfully )?decline"
    r"|i won'?t (?:be able to|help|assist|provide))",
    re.IGNORECASE,
)


class ReplyText(msgspec.Struct, frozen=True):
    """What the descriptors read of one served reply."""

    prompt: str
    output: str
    input_tokens: int
    output_tokens: int
    logprob_mean: float | None
    logprob_min: float | None


@dataclass(frozen=True, slots=True)
class DescribedReplies:
    """Replies in numbers, one entry each: descriptors, and of the prompts fingerprints, sketches
    (`fingerprint.sum_sketches`) and passages (`passages.packed`)."""

    values: Floats
    prints: list[int]
    sums: list[bytes]
    passages: list[bytes]


@dataclass(frozen=True, slots=True)
class Describer:
    """Describes replies, by the operator's patterns too. Without any it is `describe`."""

    forbidden: Forbidden = field(default_factory=Forbidden)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns: `NAMES`, then one for each pattern."""
        return NAMES + tuple(POLICY + name for name in self.forbidden.names)

    def __call__(self, replies: Sequence[ReplyText]) -> Floats:
        """Return descriptors, shape (len(replies), len(names)); always finite, 4 decimals."""
        return self.read(replies).values

    def read(self, replies: Sequence[ReplyText]) -> DescribedReplies:
        """Describe replies: splitting the prompts and counting their words serves all that is asked of them."""
        if not replies:
            return DescribedReplies(np.empty((0, len(self.names))), [], [], [])
        outputs = [excerpt(reply.output) for reply in replies]
        hits = self.forbidden.hits(outputs)
        asked = words([reply.prompt for reply in replies])
        cut = passages(asked)
        counts, sums = cut.whole(cut.counts), cut.whole(cut.sums)
        values = np.column_stack([*_columns(replies, outputs, asked, counts, sums), *hits]).astype(np.float64).round(4)
        return DescribedReplies(values, text_prints(sums), sum_sketches(sums), packed(cut))


def describe(replies: Sequence[ReplyText]) -> Floats:
    """Return descriptors, shape (len(replies), len(NAMES)), in the order of `NAMES`; always finite, 4 decimals.

    >>> row = describe([ReplyText("Where is my card?", "card_arrival", 9, 4, -0.2, -0.7)])[0]
    >>> dict(zip(NAMES, row.tolist()))["confidence_min"]
    -0.7
    """
    return Describer()(replies)


def _columns(replies: Sequence[ReplyText], outputs: list[str], asked: Words, counts: Ints, sums: Ints) -> list[Floats]:
    prompts = [excerpt(reply.prompt) for reply in replies]
    capitals = _capitals([excerpt(reply.prompt, READ) for reply in replies])
    columns = of_counts(counts.astype(np.float64), sums[:, :CONTENT].astype(np.float64)) | {
        "prompt_chars": _log_lengths([reply.prompt for reply in replies]),
        "prompt_uppercase": capitals / np.maximum(counts[:, LETTERS], 1),
        "prompt_pii": _flags(private.found(prompts)),
        "prompt_toxic": _flags(toxic(asked)),
        "output_chars": _log_lengths([reply.output for reply in replies]),
        "output_refusal": _flags(map(declines, outputs)),
        "output_pii": _flags(private.found(outputs)),
        "output_toxic": _flags(toxic(words(outputs))),
        "confidence_mean": _confidences([reply.logprob_mean for reply in replies]),
        "confidence_min": _confidences([reply.logprob_min for reply in replies]),
    }
    return [columns[name] for name in NAMES]


def of_counts(counts: Floats, sums: Floats) -> dict[str, Floats]:
    """Return the descriptors that follow from how often something stands in a prompt: those of a whole one, or of what
    is left of it. `counts`: columns `passages.COUNTS`, one row a prompt; `sums`: of the first signs of its words."""
    known, letters, digits, marks, beyond, asks = counts.T
    ink = np.maximum(letters, 1.0)
    lengths = np.maximum(known, 1.0)
    content = sums[:, :CONTENT] / np.sqrt(lengths).reshape(-1, 1)
    return {
        "prompt_chars": np.log1p(letters + known),
        "prompt_word_chars": letters / lengths,
        "prompt_digits": digits / ink,
        "prompt_punctuation": marks / ink,
        "prompt_non_ascii": beyond / ink,
        "prompt_question": np.minimum(asks, 1.0),
    } | {f"prompt_content_{k}": column for k, column in enumerate(content.T, 1)}


def declines(answer: str) -> bool:
    """Check whether the answer is a refusal, by how it begins.

    >>> declines("I'm sorry, but that is not for me to say."), declines("refund")
    (True, False)
    """
    return _begins_as_refusal(answer[:_REFUSED])


@lru_cache(maxsize=4096)
def _begins_as_refusal(text: str) -> bool:
    """Kept, for many answers are one of a few."""
    return bool(_REFUSAL.search(_unmarked(text)))


def _unmarked(text: str) -> str:
    """Return the words, whatever they are written with: emphasis, breaks of lines, HTML, once or twice, apostrophes
    that were read as what they are not: UTF-8 as Windows' or Latin-1, either as the other, JSON as text."""
    for _ in range(2):
        text = unescape(text) if "&" in text else text
    for misread in _MISREAD:
        text = text.replace(misread, "'")
    return " ".join(folded(text.replace("*", "").replace("_", "")).split())


def _log_lengths(texts: list[str]) -> Floats:
    return np.log1p(np.fromiter(map(len, texts), np.float64, len(texts)))


def _flags(values: Iterable[bool]) -> Floats:
    return np.fromiter(values, np.float64)


def _confidences(values: list[float | None]) -> Floats:
    known = (MISSING if v is None or not math.isfinite(v) else min(0.0, max(_LEAST_LOGPROB, v)) for v in values)
    return np.fromiter(known, np.float64, len(values))


def _capitals(texts: list[str]) -> Floats:
    """Return how many of A to Z stand in each text."""
    encoded = [text.encode(errors="replace") for text in texts]
    lengths = np.fromiter(map(len, encoded), np.int64, len(encoded)) + 1
    octets = np.frombuffer(b"\n".join([*encoded, b""]), np.uint8)
    capital = (octets - np.uint8(ord("A"))) < np.uint8(26)
    return np.add.reduceat(capital, np.cumsum(lengths) - lengths, dtype=np.int64).astype(np.float64)
