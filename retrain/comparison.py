"""Candidate and champion on the same rows, through the engine that serves: what the gate judges on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from monitor.metrics import METRICS
from retrain.dataset import Dataset
from retrain.evaluate import answers, loaded, scores
from retrain.example import Example
from retrain.gate import GateInput, Scores, waits
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
    """Both answer the validation rows, then regression rows, a step at a time, until the verdict does not wait for
    them any more; that is allowed because the gate's tests may be looked at after every row. Each side is a version
    and its adapter's folder. Raises `evaluate.EngineRefused` or aiohttp.ClientError: then nothing was judged."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    sides = dict((candidate, champion))
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        loaded(session, engine, sides) as names,
    ):

        async def pairs(rows: Sequence[Example]) -> Scores:
            given = [
                await answers(
                    session, engine, name, rows, max_tokens=settings.max_tokens, concurrency=settings.concurrency
                )
                for name in (names[0], names[-1])
            ]
            return list(zip(*(scores(each, rows, METRICS[metric]) for each in given), strict=True))

        target = await pairs(dataset.validation)
        gate = GateInput(
            candidate=candidate[0],
            champion=champion[0],
            target=target,
            regression=[],
            slices=slices(dataset.validation, target),
            min_gain=settings.min_gain,
            margin=settings.margin,
            slice_margin=settings.slice_margin,
            min_slice=settings.min_slice,
            alpha=settings.alpha,
        )
        for first in range(0, len(dataset.regression), settings.step_rows):
            if gate.regression and not waits(gate):
                break
            step = dataset.regression[first : first + settings.step_rows]
            gate = msgspec.structs.replace(gate, regression=[*gate.regression, *await pairs(step)])
    return gate


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
