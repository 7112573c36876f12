"""Candidate and champion on the same rows, through the engine that serves: what the gate judges on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from monitor.metrics import METRICS
from retrain.dataset import Dataset
from retrain.evaluate import answers, loaded, scores
from retrain.example import Example
from retrain.gate import GateInput, Scores
from retrain.settings import RetrainSettings

PATIENCE_S = 600.0  # for one answer; the engine may be busy with clients


async def compare(
    settings: RetrainSettings,
    engine: str,
    dataset: Dataset,
    metric: str,
    candidate: tuple[str, Path],
    champion: tuple[str, Path],
) -> GateInput:
    """Both answer the validation and regression rows; each is a version and its adapter's folder. Raises
    `evaluate.EngineRefused` or aiohttp.ClientError: then nothing was judged."""
    rows = [*dataset.validation, *dataset.regression]
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    found: list[list[float]] = []
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for version, path in (candidate, champion):
            async with loaded(session, engine, version, path) as name:
                given = await answers(
                    session, engine, name, rows, max_tokens=settings.max_tokens, concurrency=settings.concurrency
                )
            found.append(scores(given, rows, METRICS[metric]))
    pairs = list(zip(*found, strict=True))
    border = len(dataset.validation)
    return GateInput(
        candidate=candidate[0],
        champion=champion[0],
        target=pairs[:border],
        regression=pairs[border:],
        slices=slices(dataset.validation, pairs[:border]),
        min_gain=settings.min_gain,
        margin=settings.margin,
        slice_margin=settings.slice_margin,
        min_slice=settings.min_slice,
        alpha=settings.alpha,
    )


def slices(rows: Sequence[Example], pairs: Scores) -> dict[str, Scores]:
    """The pairs of each tag's groups."""
    found: defaultdict[str, Scores] = defaultdict(list)
    for row, pair in zip(rows, pairs, strict=True):
        for tag, value in row.tags.items():
            found[f"{tag}={value}"].append(pair)
    return dict(found)


def summary(gate: GateInput) -> dict[str, float]:
    """Mean scores of both sides on both parts."""
    parts = {"target": gate.target, "regression": gate.regression}
    sides = ("candidate", "champion")
    return {
        f"{part}_{side}": sum(pair[i] for pair in pairs) / len(pairs)
        for part, pairs in parts.items()
        if pairs
        for i, side in enumerate(sides)
    }
