"""The model card of one retraining's candidate."""

from __future__ import annotations

from dataclasses import asdict

from monitor.flat_table import flat
from retrain.card.card import ModelCard, data, limits
from retrain.card.findings import Findings
from retrain.data.manifest import Manifest
from retrain.evaluation.gate import GateInput, GateVerdict, asked_rows
from retrain.job_files import Candidate, JobSpec


def card_of(
    spec: JobSpec,
    base: str,
    made: Candidate,
    listed: Manifest,
    gate: GateInput,
    verdict: GateVerdict,
    findings: Findings,
) -> ModelCard:
    """Return the card."""
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
        limits=limits(gate, verdict, findings, of),
    )
