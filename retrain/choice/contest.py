"""Candidates trained and asked, one after the other, each in a folder that a start after a kill goes on from."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec

from monitor.canonical import UNREADABLE
from retrain.base_model import check_model, weight_files
from retrain.choice.candidates import Contender
from retrain.choice.decision import Contestant
from retrain.data import manifest
from retrain.data.example import Example
from retrain.evaluation.comparison import PATIENCE_S, REFUSED, TOO_LONG
from retrain.evaluation.engine.lease import EvaluationLease, held
from retrain.evaluation.engine.slot import session_to
from retrain.evaluation.evaluate import EngineAnswer, answers, context, loaded
from retrain.evaluation.limits import AnswerLimits, context_of, limits
from retrain.settings import RetrainSettings
from retrain.tensor_file import contents
from retrain.training.backends.contract import ADAPTER, OnStep, TrainingOrder, TrainingResult, write_order
from retrain.training.backends.process import run_training
from retrain.training.prompting import load_tokenizer
from streams.engine_access import EngineAccess
from streams.files import put
from streams.identity import ADAPTER_FILES
from streams.objects.opening import Storage
from streams.scoring.rows import Unjudged
from streams.scoring.scorer import Scorer

SCORES = "scores.json"
STEP = 4  # questions to each of those that the engine answers at once, from one look at the lease to the next


class ScoredRows(msgspec.Struct, frozen=True):
    """A candidate's scores, kept so that a comparison which is started again asks no row twice."""

    asked: str  # what they depend on: the adapter's weights, the rows, the engine
    scores: dict[str, float]
    left_out: dict[str, int]


@dataclass(frozen=True, slots=True)
class Contest:
    """A comparison on one dataset of the store. `training` trains what is ordered in a folder; `engines`: how those
    that others run are reached, by address."""

    stored: Storage
    dataset: str  # its digest
    rows: Sequence[Example]  # to answer
    scorer: Scorer
    settings: RetrainSettings
    training: Callable[[Path, int, OnStep], TrainingResult] = run_training
    engines: Mapping[str, EngineAccess] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the candidates' trainings."""
        return self.stored.var / "compare" / self.dataset[:12]

    def entered(self, each: Contender, report: OnStep) -> Contestant:
        """Train the candidate and ask it the rows, once no other evaluation has the engine. Raise TrainingFailed,
        EvaluationRefused, LeaseLost, NoEngineKey or aiohttp.ClientError."""
        model = Path(each.model).resolve()
        check_model(model)
        folder = self.folder / each.name
        write_order(folder, self._order(each, model))
        result = self.training(folder, self.settings.gpus, report)
        known = self._scored(each, folder, model)
        return Contestant(
            name=each.name,
            model=each.model,
            recipe=each.recipe,
            parameters=sum(map(parameters, weight_files(model))),
            adapter_parameters=parameters(folder / ADAPTER / ADAPTER_FILES[1]),
            train_seconds=result.seconds,
            scores=known.scores,
            left_out=known.left_out,
        )

    def _order(self, each: Contender, model: Path) -> TrainingOrder:
        settings = self.settings
        return TrainingOrder(
            rows=self.stored.uri(manifest.dataset_key(self.dataset)),
            model=model.as_uri(),
            recipe=each.recipe,
            fresh_passes=settings.fresh_passes,
            backend=settings.backend,  # type: ignore[arg-type]  # the settings have checked it
            command=list(settings.command),
            command_environment=list(settings.command_environment),
            packing=settings.packing,
            threads=settings.threads,
            max_left_out=settings.max_left_out,
            storage=self.stored.settings,
            var=str(self.stored.var),
        )

    def _scored(self, each: Contender, folder: Path, model: Path) -> ScoredRows:
        asked = _digest(folder / ADAPTER / ADAPTER_FILES[1], self.dataset, each.engine, *(row.id for row in self.rows))
        try:
            known = msgspec.json.decode((folder / SCORES).read_bytes(), type=ScoredRows)
        except (OSError, *UNREADABLE):
            known = None
        if known is None or known.asked != asked:
            by = f"compare {self.dataset[:12]} {each.name}"
            with held(EvaluationLease(self.stored.objects(), each.engine, by, self.settings.lease_s)) as lease:
                scores, left_out = asyncio.run(self._asked(each, (folder / ADAPTER).resolve(), model, lease))
            known = ScoredRows(asked, scores, left_out)
            put(folder / SCORES, msgspec.json.encode(known))
        return known

    async def _asked(
        self, each: Contender, adapter: Path, model: Path, lease: EvaluationLease
    ) -> tuple[dict[str, float], dict[str, int]]:
        bound = limits(load_tokenizer(model), self.rows, self.settings.max_tokens, context_of(model))
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with (
            session_to(self.engines.get(each.engine), timeout) as session,
            loaded(session, each.engine, {each.name: adapter}, evaluation=lease.by) as names,
        ):
            own = await context(session, each.engine) or bound.context
            bound = AnswerLimits(bound.size, bound.asked, bound.common, bound.most, own)
            fitting = [(row, bound.of(row)) for row in self.rows]
            taken = [(row, limit) for row, limit in fitting if limit > 0]
            given: list[EngineAnswer] = []
            many = STEP * self.settings.concurrency
            for step in (taken[at : at + many] for at in range(0, len(taken), many)):
                lease.check()
                given += await answers(
                    session,
                    each.engine,
                    names[0],
                    [row for row, _ in step],
                    limits=[limit for _, limit in step],
                    concurrency=self.settings.concurrency,
                )
        whole = [(row, answer) for (row, _), answer in zip(taken, given, strict=True) if not answer.refusal]
        left_out = Counter({TOO_LONG: len(fitting) - len(taken), REFUSED: len(taken) - len(whole)})
        found = await self.scorer.scores([row.answered(answer.text, answer.choices) for row, answer in whole])
        scores = {}
        for (row, _), score in zip(whole, found, strict=True):
            if isinstance(score, Unjudged):
                left_out[str(score)] += 1
            else:
                scores[row.id] = score
        return scores, dict(+left_out)


def parameters(path: Path) -> int:
    """Return how many numbers a safetensors file holds."""
    return sum(math.prod(extent.shape) for extent in contents(path).values())


def _digest(adapter: Path, *texts: str) -> str:
    with adapter.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update("\0".join(texts).encode())
    return digest.hexdigest()
