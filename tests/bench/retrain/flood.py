"""One client floods wrong labels: how far does what a model learns from the dataset move?

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
from tests.bench.tools.figures import Figure

SEEDS, ROWS, SHARE = 3, 1_000, 0.2
GOAL = 2.0  # points
FLOODER = "app/flood"
CLIENTS = {"two clients": 1, "four clients": 3, "sixty clients": 59}  # besides the one who floods
Wrong = Callable[[Random, str, Sequence[str]], str]
WAYS: dict[str, Wrong] = {
    "any other label": lambda rng, label, labels: rng.choice([each for each in labels if each != label]),
    "the next label": lambda rng, label, labels: labels[(labels.index(label) + 1) % len(labels)],
    "one label": lambda rng, label, labels: labels[0] if label != labels[0] else labels[1],
}


def flooded(quick: bool) -> list[Figure]:
    """The farthest that accuracy moves, for few clients and many, and each way to be wrong."""
    figures = []
    for clients, honest in CLIENTS.items():
        for way, wrong in WAYS.items():
            moved = [_moved(seed, honest, wrong) for seed in range(1 if quick else SEEDS)]
            farthest = max(abs(points) for points, _, _ in moved)
            bare = max(abs(points) for _, points, _ in moved)
            refused = sum(named for _, _, named in moved)
            name = f"a fifth of the labels wrong ({way}), {clients}: accuracy moves"
            note = f"{refused} of {len(moved)} refused with the client named"
            figures.append(
                Figure(name, farthest, "points", GOAL, peer="labels believed", peer_value=round(bare, 1), note=note)
            )
    return figures


def _moved(seed: int, honest: int, wrong: Wrong) -> tuple[float, float, bool]:
    """Points that accuracy moves by with the dataset that ships, and where all labels are believed; whether it was
    refused with the client named."""
    before, after = world(seed)
    rng = Random(seed)
    labels = sorted({row.label for row in after})
    right = [_row(rng, i, each.text, each.label, honest) for i, each in enumerate(after[:ROWS])]
    bad = [_flood(rng, row, wrong, labels) for row in right]
    healthy = [_row(rng, 10_000 + i, each.text, each.label, honest, REHEARSAL) for i, each in enumerate(before)]
    asked = [(each.text, each.label) for each in world(seed + 100)[1]]
    raw = _accuracy([*bad, *healthy], asked) - _accuracy([*right, *healthy], asked)
    try:
        moved = _learned(bad, healthy, asked) - _learned(right, healthy, asked)
    except ValueError as refusal:
        if FLOODER not in str(refusal):
            raise
        return 0.0, 100 * raw, True
    return 100 * moved, 100 * raw, False


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


def _learned(fresh: Sequence[Example], healthy: Sequence[Example], asked: Sequence[tuple[str, str]]) -> float:
    settings = RetrainSettings()
    return _accuracy(build(settings, fresh, healthy, ()).lessons(settings.fresh_passes), asked)


def _accuracy(lessons: Sequence[Example], asked: Sequence[tuple[str, str]]) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(words, LinearSVC(random_state=0))
    model.fit([row.text for row in lessons], [row.completion for row in lessons])
    return float(model.score([text for text, _ in asked], [label for _, label in asked]))
