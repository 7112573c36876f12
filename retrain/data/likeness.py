"""The likeness of rows: of their texts without the text that most rows share.

Behind a system prompt, a template around the question or a block of examples all rows look alike. Text that many rows
share to the letter is of that kind, and is left out of the comparison. The cost grows with the rows' characters, not
with their pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from monitor.metrics import normalise
from retrain.data.contexts import Contexts
from retrain.data.duplicates import clusters, pieces
from retrain.data.example import Example, in_chance_order

RUN = 20  # characters in a row by which a shared text is recognised
FEW = 8  # rows: a run of characters, or a whole message, that fewer of them share is their own
ALWAYS = 0.9  # share of the rows that a template is in, whatever it leaves of them
OFTEN = 0.02  # and one template among several, where it leaves enough to tell rows apart by
LONGEST_TALK = 100  # rows of a conversation
TELLING = 16  # characters that are enough to tell rows apart
SEEDS, SAMPLE = 200, 500  # rows that templates are looked for in, and that they are counted in
CHARACTERS = 2_000_000  # of them, at most


@dataclass(frozen=True, slots=True)
class Likeness:
    """The texts that rows of a dataset share."""

    messages: frozenset[str]  # whole ones before the last: system prompts, examples
    standing: frozenset[str]  # of these the ones that nearly all rows of a part have
    contexts: Contexts  # passages
    always: frozenset[str]  # runs of characters that are left of passages
    often: frozenset[str]
    pieces: frozenset[str]  # in nearly all rows, and too short for a run: names of a form's or a record's fields
    rests: dict[str, str] = field(default_factory=dict, repr=False, compare=False)  # by text: what was worked out

    @classmethod
    def of(cls, *parts: Sequence[Example]) -> Likeness:
        """Return the texts that rows share, found in each part by itself: after a prompt has changed, most rows of
        either part share one."""
        counted = [(_messages(part), len(part)) for part in parts]
        messages, standing = (_common(counted, share) for share in (0.0, ALWAYS))
        texts = [[_text(row, messages) for row in in_chance_order(part, "likeness")] for part in parts]
        contexts = Contexts.of(texts, ALWAYS)
        rests = [list(dict.fromkeys(map(normalise, contexts.without(each, contexts.often)))) for each in texts]
        counts = _with_all([_runs(each) for each in rests])
        always, often = (_common(counts, share) for share in (ALWAYS, OFTEN))
        distinct = [list(_bounded(each, SAMPLE)) for each in rests]
        named = [(Counter(piece for text in each for piece in pieces(text)), len(each)) for each in distinct]
        return cls(messages, standing, contexts, always, often, _common(_with_all(named), ALWAYS))

    def differing(self, row: Example) -> str:
        """Return the row's text without the texts that most rows share; all of it where nothing would be left."""
        return self.differences([row])[0]

    def differences(self, rows: Sequence[Example]) -> list[str]:
        """Return what differs between the rows, of each as `differing` does: many together take less time."""
        texts = [_text(row, self.messages) for row in rows]
        return [rest or self._whole(own) or normalise(own) for own, rest in zip(texts, self._rests(texts), strict=True)]

    def questions(self, rows: Sequence[Example]) -> list[str]:
        """Return what each row asks, with all that may decide its answer: without the template alone that nearly all
        rows have. What fewer share, such as a document or the words around a date, may differ for a reason."""
        return [self._whole(_text(row, self.standing)) or row.key for row in rows]

    def clusters(self, rows: Sequence[Example]) -> list[int]:
        """Return clusters as `duplicates.clusters` does, of the texts without their shared parts. Rows of which one
        template among several leaves next to nothing are compared with that template too: they may be one question,
        asked often. A conversation's rows are one cluster."""
        texts = [_text(row, self.messages) for row in rows]
        rests = self._rests(texts)
        short = [self._whole(text) if len(rest) < TELLING else None for text, rest in zip(texts, rests, strict=True)]
        return clusters([rest or None for rest in rests], short, shared=self.pieces, named=conversations(rows))

    def _rests(self, texts: Sequence[str]) -> list[str]:
        """Return what is left of each text. A dataset's rows are compared several times, and cut once."""
        new = [text for text in dict.fromkeys(texts) if text not in self.rests]
        left = self.contexts.without(new, self.contexts.often)
        self.rests.update(zip(new, (_without_runs(normalise(rest), self.often) for rest in left), strict=True))
        return [self.rests[text] for text in texts]

    def _whole(self, text: str) -> str:
        return _without_runs(normalise(self.contexts.without([text], self.contexts.always)[0]), self.always)


def conversations(rows: Sequence[Example]) -> list[str]:
    """Return each row's conversation; a name that stands for very many rows is none."""
    counts = Counter(row.conversation for row in rows)
    return [row.conversation if counts[row.conversation] <= LONGEST_TALK else "" for row in rows]


def _text(row: Example, shared: frozenset[str]) -> str:
    """Return the row's messages, one after the other, without those that many rows share."""
    *before, last = [message.content for message in row.messages] or [""]
    return "\n".join([*(message for message in before if normalise(message) not in shared), last])


def _messages(rows: Sequence[Example]) -> Counter[str]:
    return Counter(text for row in rows for text in {normalise(message.content) for message in row.messages[:-1]})


def _runs(texts: Sequence[str]) -> tuple[Counter[str], int]:
    """Count the sampled texts that hold each run which two of the first texts share; return the sample's size too."""
    seen = Counter(run for text in _bounded(texts, SEEDS) for run in _of(text))
    candidates = {run for run, count in seen.items() if count > 1}
    sample = list(_bounded(texts, SAMPLE))
    return Counter(run for text in sample for run in _of(text) & candidates), len(sample)


def _with_all(counts: Sequence[tuple[Counter[str], int]]) -> list[tuple[Counter[str], int]]:
    """Return the parts and, as one more, their sum: few rows of each part may share a document."""
    together = Counter[str]()
    for found, _ in counts:
        together.update(found)
    return [*counts, (together, sum(of for _, of in counts))]


def _common(counts: Sequence[tuple[Counter[str], int]], share: float) -> frozenset[str]:
    return frozenset(run for found, of in counts for run, count in found.items() if count >= max(FEW, share * of))


def _bounded(texts: Sequence[str], count: int) -> Iterator[str]:
    budget = CHARACTERS
    for text in islice(texts, count):
        yield text[:budget]
        budget -= len(text)
        if budget <= 0:
            return


def _of(text: str) -> set[str]:
    return {text[i : i + RUN] for i in range(len(text) - RUN + 1)}


def _without_runs(text: str, runs: frozenset[str]) -> str:
    """Return the text without the characters that lie in one of the runs."""
    kept, free = [], 0  # from `free` on nothing is cut yet
    for i in range(len(text) - RUN + 1 if runs else 0):
        if text[i : i + RUN] in runs:
            kept.append(text[free:i])
            free = i + RUN
    return normalise(" ".join([*kept, text[free:]]))
