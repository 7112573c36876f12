"""Real tickets as a dataset, and a writer of others behind the judge's test server."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from random import Random
from typing import Any

from deploy.demo.world.world import world
from monitor.metrics import normalise
from retrain.data.dataset import Dataset
from retrain.data.example import FRESH, Example
from streams.messages import Message

REQUEST = re.compile(r"<request>\n(.*?)\n</request>", re.DOTALL)
ANSWER = re.compile(r"<answer>\n(.*?)\n</answer>", re.DOTALL)
COUNT = re.compile(r"Write (\d+) new")


def tickets(seed: int, count: int, size: str = "small", prefix: str = "real", **changes: object) -> list[Example]:
    """Return the first tickets of the demo's world, each of a person of its own."""
    return [
        ticket(f"{prefix}-{seed}-{i}", each.text, each.label, client=f"app/{i % 40}", time_ms=i, **changes)
        for i, each in enumerate(world(seed, size=size)[0][:count])
    ]


def ticket(id: str, text: str, label: str, **changes: object) -> Example:
    given = {"messages": [Message("user", text)], "source": FRESH, "selection": "random", **changes}
    return Example(id=id, completion=label, **given)  # type: ignore[arg-type]


def dataset(train: Sequence[Example], judged: Sequence[Example]) -> Dataset:
    half = len(judged) // 2
    return Dataset(list(train), [], list(judged[:half]), list(judged[half:]), {})


class TicketWriter:
    """Writes tickets of another seed's world with the label that is asked for, and knows each one's label."""

    def __init__(self, seed: int = 50, size: str = "small", wrong: float = 0.0) -> None:
        self.pool: dict[str, list[str]] = {}
        for each in world(seed, size=size)[0]:
            self.pool.setdefault(normalise(each.label), []).append(each.text)
        self.labels = {text: label for label, texts in self.pool.items() for text in texts}
        self.rng, self.wrong = Random(seed), wrong

    def __call__(self, body: dict[str, Any]) -> str:
        prompt = body["messages"][0]["content"]
        request = REQUEST.search(prompt)
        assert request is not None
        if (count := COUNT.search(prompt)) is None:
            return json.dumps({"answer": self.labels.get(request[1], "none of these")})
        answer = ANSWER.search(prompt)
        assert answer is not None
        rng = Random(f"{request[1]} {body['seed']}")
        own, others = self.pool[normalise(answer[1])], list(self.labels)
        texts = [rng.choice(others if rng.random() < self.wrong else own) for _ in range(int(count[1]))]
        return json.dumps({"rows": [{"request": each} for each in texts]})
