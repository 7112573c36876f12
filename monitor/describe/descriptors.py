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
from monitor.describe.fingerprint import sum_sketches, text_prints, word_sums
from monitor.describe.patterns import Forbidden
from monitor.describe.toxicity import toxic
from monitor.describe.words import Words, excerpt, words

Floats = NDArray[np.float64]

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
POLICY = "output_policy_"  # and a pattern's name: 1 where the operator's pattern is found (`monitor.describe.patterns`)

_CONTENT = 3
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
class Describer:
    """Describes replies, by the operator's patterns too. Without any it is `describe`."""

    forbidden: Forbidden = field(default_factory=Forbidden)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns: `NAMES`, then one for each pattern."""
        return NAMES + tuple(POLICY + name for name in self.forbidden.names)

    def __call__(self, replies: Sequence[ReplyText]) -> Floats:
        """Return descriptors, shape (len(replies), len(names)); always finite, 4 decimals."""
        return self.read(replies)[0]

    def read(self, replies: Sequence[ReplyText]) -> tuple[Floats, list[int], list[bytes]]:
        """Return descriptors, `fingerprints` and sketches of the prompts (`fingerprint.sum_sketches`) at once:
        splitting the prompts and counting their words serves all three."""
        if not replies:
            return np.empty((0, len(self.names))), [], []
        hits = self.forbidden.hits([excerpt(reply.output) for reply in replies])
        asked = words([reply.prompt for reply in replies])
        sums = word_sums(asked)
        values = np.column_stack([*_columns(replies, asked, sums), *hits]).astype(np.float64).round(4)
        return values, text_prints(sums), sum_sketches(sums)


def describe(replies: Sequence[ReplyText]) -> Floats:
    """Return descriptors, shape (len(replies), len(NAMES)), in the order of `NAMES`; always finite, 4 decimals.

    >>> row = describe([ReplyText("Where is my card?", "card_arrival", 9, 4, -0.2, -0.7)])[0]
    >>> dict(zip(NAMES, row.tolist()))["confidence_min"]
    -0.7
    """
    return Describer()(replies)


def _columns(replies: Sequence[ReplyText], asked: Words, sums: NDArray[np.int64]) -> list[Floats]:
    prompts = [excerpt(reply.prompt) for reply in replies]
    outputs = [excerpt(reply.output) for reply in replies]
    return [
        _log_lengths([reply.prompt for reply in replies]),
        *_shapes(prompts, asked),
        _flags("?" in prompt or "\uff1f" in prompt or "\u061f" in prompt for prompt in prompts),
        _flags(private.found(prompts)),
        _flags(toxic(asked)),
        *_projections(sums, asked),
        _log_lengths([reply.output for reply in replies]),
        _flags(map(declines, outputs)),
        _flags(private.found(outputs)),
        _flags(toxic(words(outputs))),
        _confidences([reply.logprob_mean for reply in replies]),
        _confidences([reply.logprob_min for reply in replies]),
    ]


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


def _shapes(texts: list[str], asked: Words) -> list[Floats]:
    """Return the mean length of words, then the shares of digits, punctuation, capitals and characters beyond ASCII."""
    codes, starts = _codes(texts)
    kinds = _KINDS[np.minimum(codes, 128)]
    ink = np.maximum(_counts(kinds > _BLANK, starts), 1)
    length = _counts(kinds > _BLANK, starts) / np.maximum(asked.lengths, 1)
    return [length, *(_counts(kinds == kind, starts) / ink for kind in (_DIGIT, _PUNCTUATION, _UPPER, _BEYOND))]


def _codes(texts: list[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """All code points in one array, a line break after each text, and where each text starts."""
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + 1)
    joined = "\n".join(texts) + "\n"
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32), np.append(0, ends[:-1])


def _counts(mask: NDArray[np.bool_], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.add.reduceat(mask, starts, dtype=np.int64)


def _projections(sums: NDArray[np.int64], asked: Words) -> list[Floats]:
    scaled = sums[:, :_CONTENT] / np.sqrt(np.maximum(asked.lengths, 1)).reshape(-1, 1)
    return list(scaled.T)


def _kind(code: int) -> int:
    character = chr(code)
    if code >= 128:
        return _BEYOND
    if character.isspace() or not character.isprintable():
        return _BLANK
    if character.isalnum():
        return _DIGIT if character.isdigit() else _UPPER if character.isupper() else _LOWER
    return _PUNCTUATION


_BLANK, _LOWER, _UPPER, _DIGIT, _PUNCTUATION, _BEYOND = range(6)
_KINDS = np.array([_kind(code) for code in range(129)], dtype=np.int8)
