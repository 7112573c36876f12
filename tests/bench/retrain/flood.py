"""One client floods wrong labels: how far does what a model learns from the dataset move?
`python -m tests.bench.retrain --only flood [--quick]`

The tickets of the demo's world after its change, as several clients label them; one client gives a fifth of all labels,
each wrong. A cheap classifier learns from the dataset that ships (`build`), with the flood and with right labels in its
place, and answers tickets that nobody labelled. A dataset that is refused with the client named counts as unmoved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from deploy.demo.world.world import world
from retrain.data.dataset import build
from retrain.data.example import FRESH, REHEARSAL, Example
from retrain.settings import RetrainSettings
from streams.messages import Message
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import Figure

SEEDS, ROWS, SHARE = 3, 1_000, 0.2
FLOODER = "app/flood"
CLIENTS = {"two clients": 1, "four clients": 3, "sixty clients": 59}  # besides the one who floods
Wrong = Callable[[Random, str, Sequence[str]], str]
WAYS: dict[str, Wrong] = {
    "any other label": lambda rng, label, labels: rng.choice([each for each in labels if each != label]),
    "the next label": lambda rng, label, labels: labels[(labels.index(label) + 1) % len(labels)],
    "one label": lambda rng, label, labels: labels[0] if label != labels[0] else labels[1],
}


def measured(quick: bool) -> list[Figure]:
    """The farthest that accuracy moves, for few clients and many, and each way to be wrong."""
    worlds = [Tickets(seed) for seed in range(1 if quick else SEEDS)]
    return [_figure(worlds, clients, way) for clients in CLIENTS for way in WAYS]


def _figure(worlds: Sequence[Tickets], clients: str, way: str) -> Figure:
    moved = [each.moved(CLIENTS[clients], WAYS[way]) for each in worlds]
    refused = sum(named for _, _, named in moved)
    return figure(
        f"a fifth of the labels wrong ({way}), {clients}: accuracy moves",
        max(abs(points) for points, _, _ in moved),
        "points",
        peer="labels believed",
        peer_value=round(max(abs(points) for _, points, _ in moved), 1),
        note=f"{refused} of {len(moved)} refused with the client named",
    )


class Tickets:
    """The tickets of one seed, before and after the change, and others that nobody labelled."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.before, self.after = world(seed)
        self.asked = [(each.text, each.label) for each in world(seed + 100)[1]]
        self.right: dict[int, tuple[float, float]] = {}  # accuracy from right labels, by clients: the dataset's, all's

    def moved(self, honest: int, wrong: Wrong) -> tuple[float, float, bool]:
        """Points that accuracy moves by with the dataset that ships, and where all labels are believed; whether it was
        refused with the client named."""
        rng = Random(self.seed)
        good = [_row(rng, i, each.text, each.label, honest) for i, each in enumerate(self.after[:ROWS])]
        healthy = [
            _row(rng, 10_000 + i, each.text, each.label, honest, REHEARSAL) for i, each in enumerate(self.before)
        ]
        labels = sorted({row.completion for row in good})
        bad = [_flood(rng, row, wrong, labels) for row in good]
        if honest not in self.right:
            self.right[honest] = self._learned(good, healthy), _accuracy([*good, *healthy], self.asked)
        learned, believed = self.right[honest]
        raw = 100 * (_accuracy([*bad, *healthy], self.asked) - believed)
        try:
            return 100 * (self._learned(bad, healthy) - learned), raw, False
        except ValueError as refusal:
            if FLOODER not in str(refusal):
                raise
            return 0.0, raw, True

    def _learned(self, fresh: Sequence[Example], healthy: Sequence[Example]) -> float:
        settings = RetrainSettings()
        return _accuracy(build(settings, fresh, healthy, ()).lessons(settings.fresh_passes), self.asked)


def _row(rng: Random, number: int, text: str, label: str, honest: int, source: str = FRESH) -> Example:
    flooder = rng.random() < SHARE and source == FRESH
    client = FLOODER if flooder else f"app/{rng.randrange(honest)}"
    return Example(
        id=f"id-{number}",
        messages=[Message("user", text)],
        completion=label,
        source=source,
        client=client,
        time_ms=number if source == FRESH else number - 100_000,
        selection="random",
    )


def _flood(rng: Random, row: Example, wrong: Wrong, labels: Sequence[str]) -> Example:
    from msgspec.structs import replace

    return replace(row, completion=wrong(rng, row.completion, labels)) if row.client == FLOODER else row


def _accuracy(lessons: Sequence[Example], asked: Sequence[tuple[str, str]]) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LinearSVC(random_state=0))
    model.fit([row.text for row in lessons], [row.completion for row in lessons])
    return float(model.score([text for text, _ in asked], [label for _, label in asked]))
