"""Seven synthetic rows to three real ones, against real rows alone of the same number: what does a model lose or gain?

Tickets of the demo's world stand for real rows. Two writers make the synthetic ones, through the order that ships
(`synthesised`: asked, checked, confirmed) and into the dataset that ships (`blended`). A chain of words knows the real
rows that it is shown and nothing else, as tools that learn from a table do; its labels are confirmed by a classifier of
those rows. A writer who knows the world writes tickets of another seed, which is the most that a large model could do.
A cheap classifier learns from each dataset and answers tickets that none of them has."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import mean
from typing import Any

from retrain.data.example import Example
from retrain.synthetic.blending import blended
from retrain.synthetic.checks import RowChecks
from retrain.synthetic.fidelity import predictions
from retrain.synthetic.generator import ModelAnswer
from retrain.synthetic.plan import planned
from retrain.synthetic.settings import SyntheticSettings
from retrain.synthetic.synthesis import Synthesis, synthesised
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.retrain.support.tickets import ANSWER, COUNT, REQUEST, TicketWriter, dataset, ticket, tickets

SEEDS, SIZES, SHARE = 5, (300, 1_000), 0.7  # rows that are trained on, of which so many are synthetic
REAL = "real rows alone"
ORDER = 2  # words by which a chain knows the next
Writer = Callable[[dict[str, Any]], str]


class WordChain:
    """A Markov chain of words for each label, learned from real rows alone."""

    def __init__(self, real: Sequence[Example]) -> None:
        self.real = real
        self.labels: dict[str, str] = {}  # of texts that it wrote, as the classifier of the real rows says
        self.next: defaultdict[str, defaultdict[tuple[str, ...], list[str]]] = defaultdict(lambda: defaultdict(list))
        for row in real:
            words = [*row.text.split(), ""]
            for place, word in enumerate(words):
                self.next[row.label][tuple(words[max(0, place - ORDER) : place])].append(word)

    def __call__(self, body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        request, answer, count = (each.search(prompt) for each in (REQUEST, ANSWER, COUNT))
        assert request is not None
        if count is None:
            (label,) = predictions(self.real, [ticket("", request[1], "")]) if request[1] not in self.labels else ("",)
            return json.dumps({"answer": self.labels.get(request[1], label)})
        assert answer is not None
        rng = Random(f"{request[1]} {body['seed']}")
        texts = [self._text(rng, answer[1].lower()) for _ in range(int(count[1]))]
        found = predictions(self.real, [ticket("", text, "") for text in texts])
        self.labels |= dict(zip(texts, found, strict=True))
        return json.dumps({"rows": [{"request": each} for each in texts]})

    def _text(self, rng: Random, label: str) -> str:
        words: list[str] = []
        while len(words) < 60 and (word := rng.choice(self.next[label][tuple(words[-ORDER:])])):
            words.append(word)
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a classifier gets right, and the share of its lessons that was synthetic."""

    accuracy: float
    share: float


def measured(quick: bool) -> list[Figure]:
    """Accuracies, for small and large training sets."""
    return [each for size in SIZES[: 1 if quick else None] for each in _figures(size, 1 if quick else SEEDS)]


def _figures(size: int, seeds: int) -> Iterator[Figure]:
    found = [_learned(seed, size) for seed in range(seeds)]
    for name in found[0]:
        gaps = [100 * (each[name].accuracy - each[REAL].accuracy) for each in found]
        share = mean(each[name].share for each in found)
        aside = f"{mean(gaps):+.1f} points, seeds {min(gaps):+.1f} to {max(gaps):+.1f}; {share:.0%} synthetic"
        accuracy = 100 * mean(each[name].accuracy for each in found)
        yield Figure(f"synthetic, {size} rows: right, {name}", accuracy, "%", note=aside)


def _learned(seed: int, size: int) -> dict[str, Learned]:
    whole, judged = tickets(seed, size, "full"), tickets(seed + 100, 1_300, "full", "judged")
    few = whole[: round((1 - SHARE) * size)]
    found = {REAL: _score(whole, judged), "three tenths of them": _score(few, judged)}
    writers: dict[str, Writer] = {
        "and a chain": WordChain(few),
        "and a writer who knows the world": TicketWriter(seed + 50, "full"),
    }
    for name, writer in writers.items():
        done = _written(few, writer, size - len(few))
        note(f"seed {seed}, {size} rows, {name}: {len(done.rows)} rows, refused {dict(done.refused)}")
        found[f"three tenths {name}"] = _score(blended(dataset(few, []), done.rows, SHARE).lessons(), judged)
    return found


def _score(rows: Sequence[Example], judged: Sequence[Example]) -> Learned:
    right = sum(one == other.label for one, other in zip(predictions(rows, judged), judged, strict=True))
    return Learned(right / len(judged), sum(row.synthetic for row in rows) / len(rows))


def _written(real: Sequence[Example], writer: Writer, count: int) -> Synthesis:
    labels = len({row.label for row in real})
    settings = SyntheticSettings(
        url="http://writer.invalid/v1", model="writer", rows=-(-count // labels) + 5, rounds=20
    )

    async def ask(bodies: Sequence[Mapping[str, Any]]) -> list[ModelAnswer]:
        return [ModelAnswer(writer(dict(each)), 1) for each in bodies]

    return asyncio.run(synthesised(settings, planned(settings, real), RowChecks.of(real), ask, list))
