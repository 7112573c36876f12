"""The evaluation of one retraining's job: both versions' answers to its rows, for the gate, and the model card."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from monitor.flat_table import flat
from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.card.card import ModelCard, data
from retrain.card.card import limits as card_limits
from retrain.card.findings import Findings, FindingsOf
from retrain.data.dataset import Dataset, unfair
from retrain.data.manifest import Manifest
from retrain.evaluation.checks import level
from retrain.evaluation.comparison import compare
from retrain.evaluation.engine.lease import EvaluationLease, held
from retrain.evaluation.engine.own import own_engine
from retrain.evaluation.fairness.terms import read_terms
from retrain.evaluation.gate import GateInput, GateVerdict, asked_rows
from retrain.evaluation.judged import ModelJudge
from retrain.evaluation.limits import context_of, limits
from retrain.job_files import Candidate, JobSpec
from retrain.job_rows import agreement, downstream, later, unlabelled
from retrain.training.encoding import lessons
from retrain.training.prompting import load_tokenizer
from streams.identity import ADAPTERS, adapter_digest, adapter_key

OTHER_BASE = (
    "altered, or another base model's. Where stack.model was changed, set retrain.champion_model to the model before, "
    "and retrain.champion_engine to the URL of a vLLM that serves it with --enable-lora, --max-lora-rank of the "
    "champion's r, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; adapters are read by their path"
)


def evaluated(
    spec: JobSpec, made: Candidate, listed: Manifest, dataset: Dataset, output: Path
) -> tuple[GateInput, Findings]:
    """Return the answers' scores for the gate, and their figures for the card. Wait while another evaluation has the
    engine; raise LeaseLost where it is taken away, and whatever keeps the engine from its answers."""
    settings, champion, tokenizer = spec.settings, stored_champion(spec), load_tokenizer(spec.model_dir)
    taught = [row.lesson() for row in dataset.train]
    untaught = lessons(tokenizer, taught, spec.knobs.training.max_length, settings.max_left_out).left_out
    findings = FindingsOf(settings, read_terms(settings.fairness_file), [*dataset.validation, *dataset.regression])
    judge = _by_judge(spec, made.version, listed, dataset, tokenizer)
    with own_engine(spec.own_engine, output) as own, _leased(spec, own) as lease:
        gate = asyncio.run(
            compare(
                settings,
                own or spec.engine,
                dataset,
                spec.scorer(),
                (made.version, spec.trees().fetch(adapter_key(spec.request.alias, made.digest))),
                (spec.request.champion, champion),
                limits=limits(tokenizer, dataset.rows, settings.max_tokens, context_of(spec.model_dir)),
                later=partial(later, spec, made.version, listed, dataset, tokenizer),
                alpha=level(settings.alpha, spec.attempt),
                evaluation=spec.request.id,
                untaught=untaught,
                then=[findings.asked, *([judge.asked] if judge else [])],
                allowed=lease.check if lease else lambda: None,
                downstream=downstream(spec),
                champion_engine=settings.champion_engine.rstrip("/"),
                access=None if own else spec.engine_access,
                adapters=spec.trees().home / ADAPTERS,
            )
        )
    found = msgspec.structs.replace(findings.found, engine="the evaluation's own" if own else "the serving one")
    return msgspec.structs.replace(gate, unfair=unfair(dataset.dropped)), found


def _leased(spec: JobSpec, own: str | None) -> AbstractContextManager[EvaluationLease | None]:
    """Return the lease on the serving engine, once entered; none where it is left alone."""
    if own:
        return nullcontext()
    return held(EvaluationLease(spec.trees().store, spec.engine, spec.request.id, spec.settings.lease_s))


def stored_champion(spec: JobSpec) -> Path:
    """Return the champion's folder, once its bytes match its name. Raises ValueError, FileNotFoundError."""
    before = spec.settings.champion_model
    model = Path(before) if before else spec.model_dir
    if before:
        check_model(model)
    path = spec.trees().fetch(adapter_key(spec.request.alias, spec.champion_digest))
    found = adapter_digest(path, base_model_id(model, spec.var / "digests"))
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(model))):
        raise ValueError(f"{path}: digest is {found}, expected {spec.champion_digest}: {OTHER_BASE}")
    return path


def _by_judge(spec: JobSpec, candidate: str, listed: Manifest, dataset: Dataset, tokenizer: Any) -> ModelJudge | None:
    """Return what asks the alias's judge model about rows without a label; None where it has none."""
    scorer = spec.judged_by() if spec.settings.judged_rows else None
    if scorer is None:
        return None
    rows = partial(unlabelled, spec, scorer, candidate, listed, dataset, tokenizer)
    return ModelJudge(scorer=scorer, rows=rows, agrees=agreement(spec, scorer), may_promote=spec.judge_may_promote)


def card_of(
    spec: JobSpec,
    base: str,
    made: Candidate,
    listed: Manifest,
    gate: GateInput,
    verdict: GateVerdict,
    findings: Findings,
) -> ModelCard:
    """Return the candidate's model card."""
    of = data(listed, spec.settings.consent, spec.settings.pii.kinds)
    return ModelCard(
        version=made.version,
        digest=made.digest,
        alias=spec.request.alias,
        base_model=base,
        champion=spec.request.champion,
        asked_ms=spec.request.time_ms,
        reason=spec.request.reason,
        metric=gate.metric,
        data=of,
        recipe=flat(asdict(spec.knobs)),
        training=made.figures,
        notes=made.notes,
        status=verdict.status,
        verdict=verdict.reason,
        checks=verdict.checks,
        rows=asked_rows(gate),
        rests_on=gate.rests_on,
        left_out=gate.left_out,
        findings=findings,
        limits=card_limits(gate, verdict, findings, of),
    )
