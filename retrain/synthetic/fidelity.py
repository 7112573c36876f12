"""How faithful synthetic rows are to real ones: their labels and groups, how near they come to a single real row, and
what a model learns from them. Numbers only; no row's text is in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from monitor.describe.words import excerpt
from retrain.data.classes import classes
from retrain.data.example import Example, in_chance_order
from retrain.synthetic.nearness import Nearness

FEWEST = 10  # rows to judge on, for accuracies
QUANTILES = (0.05, 0.5, 0.95)
NEAR = 0.95  # quantile of the real rows' own likeness: a synthetic row that is nearer to a real one repeats it


class ShareCount(msgspec.Struct, frozen=True):
    """A label's or a group's rows."""

    name: str
    real: int
    synthetic: int


class LearnedScore(msgspec.Struct, frozen=True):
    """How many real rows that were held back a cheap classifier gets right, by what it learned from."""

    learned_from: str
    rows: int  # learned from
    right: int
    of: int  # real rows that were held back
    macro_f1: float


class FidelityReport(msgspec.Struct, frozen=True):
    """The report, as the page shows it and as JSON has it."""

    real: int
    synthetic: int
    origins: dict[str, int]
    labels: list[ShareCount]  # none where answers are free text
    groups: list[ShareCount]  # each tag's values, and the rows without it, are all rows
    label_gap: float  # half the sum of the differences of shares: 0 is the same distribution, 1 shares nothing
    group_gap: float  # likewise, of the tag that differs most
    likeness: list[float]  # of synthetic rows to the nearest real one: its quantiles 0.05, 0.5, 0.95
    own_likeness: list[float]  # of real rows to the nearest other real one, likewise
    copied: int  # synthetic rows that are nearly the text of a real one
    too_near: float  # share nearer to a real row than 95 % of real rows are to each other; alike rows have 0.05
    scores: list[LearnedScore]  # none where answers are free text, or too few rows were held back
    unknown: list[str]  # what could not be compared, and why


def measured(real: Sequence[Example], synthetic: Sequence[Example], held_back: Sequence[Example]) -> FidelityReport:
    """Return the report. `held_back`: real rows that neither were made from. Raise ValueError without rows."""
    if not real or not synthetic:
        raise ValueError(f"{len(real)} real and {len(synthetic)} synthetic rows, expected some of each")
    known = classes(Counter(row.label for row in real), {})
    nearness = Nearness.of(real)
    nearest, own = nearness.nearest(synthetic), nearness.own()
    labels = _counts(real, synthetic, lambda row: [row.label] if row.label in known else [])
    tags = sorted({tag for rows in (real, synthetic) for row in rows for tag in row.tags})
    groups = [_counts(real, synthetic, lambda row, tag=tag: [group(row, tag)]) for tag in tags]  # type: ignore[misc]
    edge = float(np.quantile(own, NEAR))
    judged = [row for row in held_back if row.label in known]
    unknown = [] if known else ["labels and what is learned: the answers are free text"]
    if known and len(judged) < FEWEST:
        unknown.append(f"what is learned: {len(judged)} labelled real rows were held back, expected {FEWEST}")
    return FidelityReport(
        real=len(real),
        synthetic=len(synthetic),
        origins=dict(sorted(Counter(row.by.partition("/")[2] for row in synthetic).items())),
        labels=labels,
        groups=[each for counts in groups for each in counts],
        label_gap=_gap(labels),
        group_gap=max(map(_gap, groups), default=0.0),
        likeness=_quantiles([each.likeness for each in nearest]),
        own_likeness=_quantiles(own),
        copied=sum(each.copied for each in nearest),
        too_near=round(sum(each.likeness > edge for each in nearest) / len(nearest), 4),
        scores=[] if unknown else learned(real, synthetic, judged),
        unknown=unknown,
    )


def group(row: Example, tag: str) -> str:
    """Return the name of the row's group by a tag."""
    return f"{tag}={row.tags[tag]}" if tag in row.tags else f"no {tag}"


def learned(real: Sequence[Example], synthetic: Sequence[Example], judged: Sequence[Example]) -> list[LearnedScore]:
    """Return what a classifier learns from real rows, from synthetic ones, where one kind has more rows from as many of
    it as the other has, and from both together."""
    count = min(len(real), len(synthetic))
    fewer, alike = (in_chance_order(rows, "fidelity")[:count] for rows in (real, synthetic))
    lessons = {
        "real rows": real,
        **({"as many real rows": fewer} if count < len(real) else {}),
        **({"as many synthetic rows": alike} if count < len(synthetic) else {}),
        "synthetic rows": synthetic,
        "real and synthetic rows": [*real, *synthetic],
    }
    return [_score(name, rows, judged) for name, rows in lessons.items()]


def _score(name: str, rows: Sequence[Example], judged: Sequence[Example]) -> LearnedScore:
    from sklearn.metrics import f1_score

    truth, found = [row.label for row in judged], predictions(rows, judged)
    right = sum(one == other for one, other in zip(found, truth, strict=True))
    score = float(f1_score(truth, found, average="macro", labels=sorted(set(truth)), zero_division=0))
    return LearnedScore(name, len(rows), right, len(judged), round(score, 4))


def predictions(rows: Sequence[Example], asked: Sequence[Example]) -> list[str]:
    """Return the labels that a linear classifier of words, taught on the rows, gives to others; the same rows give the
    same labels."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    labels = [row.label for row in rows]
    if len(set(labels)) < 2:
        return [labels[0]] * len(asked)
    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0))
    model.fit([excerpt(row.text) for row in rows], labels)
    return [str(each) for each in model.predict([excerpt(row.text) for row in asked])]


def _counts(
    real: Sequence[Example], synthetic: Sequence[Example], names: Callable[[Example], Sequence[str]]
) -> list[ShareCount]:
    mine, theirs = (Counter(name for row in rows for name in names(row)) for rows in (real, synthetic))
    return [ShareCount(name, mine[name], theirs[name]) for name in sorted({*mine, *theirs})]


def _gap(counts: Sequence[ShareCount]) -> float:
    """Return the total variation distance of the two distributions.

    >>> _gap([ShareCount("a", 3, 1), ShareCount("b", 1, 3)])
    0.5
    """
    real, synthetic = sum(each.real for each in counts), sum(each.synthetic for each in counts)
    if not real or not synthetic:
        return float(bool(real or synthetic))
    return round(sum(abs(each.real / real - each.synthetic / synthetic) for each in counts) / 2, 4)


def _quantiles(values: Sequence[float]) -> list[float]:
    return [round(float(each), 4) for each in np.quantile(values, QUANTILES)]
