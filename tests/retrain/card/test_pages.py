"""The card as JSON, as Hugging Face's README.md and as a page, read by their readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from huggingface_hub import ModelCard as HuggingFaceCard

from retrain.card import pages
from retrain.card.card import CardData, ModelCard, limits
from retrain.card.findings import Findings, audit
from retrain.card.measures import measured
from retrain.evaluation.fairness.counterfactual import GroupSwaps
from retrain.evaluation.gate import GateInput, judge
from tests.retrain.card.test_measures import asked
from tests.support.folder import in_folder

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def card() -> ModelCard:
    rows = [
        asked(n, "ab"[n % 2], "ab"[n % 2] if n % 9 else "c", "b", language="de" if n % 3 else "en") for n in range(90)
    ]
    pairs = [each.scores for each in rows]
    groups = {f"language={name}": [r.scores for r in rows if r.row.tags["language"] == name] for name in ("de", "en")}
    gate = GateInput(
        candidate="support-0123456789ab",
        champion="support-ffffffffffff",
        target=pairs[:60],
        regression=[(1.0, 1.0)] * 90,
        slices=groups,
        min_gain=0.02,
        margin=0.1,
        slice_margin=0.25,
        min_slice=30,
        alpha=0.025,
        metric="exact_match",
    )
    swaps = [GroupSwaps("gender=women", [(0.0, 1.0)] * 40, [(1.0, 1.0)] * 40, 40, 40, 0), GroupSwaps("gender=men")]
    findings = Findings(candidate=gate.candidate, measures=measured(rows), fairness=audit(gate, swaps, 0))
    data = CardData(digest="d" * 64, since_ms=0, learned=900, judged=300, selections={"audit": 900}, dropped={EVIL: 2})
    verdict = judge(gate)
    return ModelCard(
        version=gate.candidate,
        digest="0123456789ab" + "0" * 52,
        alias="support",
        base_model="gemma-3-270m@0123",
        champion=gate.champion,
        asked_ms=1_764_000_000_000,
        reason=f"labels prove harm {EVIL}",
        metric=gate.metric,
        data=data,
        recipe={"lora.r": 16},
        training={"loss": 0.12},
        status=verdict.status,
        verdict=verdict.reason,
        checks=verdict.checks,
        rows=150,
        findings=findings,
        limits=limits(gate, verdict, findings, data),
    )


def test_the_readme_is_read_by_hugging_face(card: ModelCard) -> None:
    read = HuggingFaceCard(pages.files(card)[pages.README].decode())
    head: Any = read.data
    assert (head.base_model, head.library_name, head.model_name) == (card.base_model, "peft", card.version)
    assert head.pipeline_tag == "text-generation"
    assert {each.task_type for each in head.eval_results} == {"text-classification"}
    results = {each.metric_type: each.metric_value for each in head.eval_results}
    assert results["exact_match"] == card.findings.measures.whole.candidate["score"]
    assert results["macro_f1"] == card.findings.measures.whole.candidate["macro_f1"]
    assert "<script" not in read.text
    for part in ("## Fairness", "language=de", "gender=women", "## Limits", "no safety prompts"):
        assert part in read.text


def test_the_page_stands_alone_and_runs_nothing_of_a_clients(card: ModelCard) -> None:
    page = pages.files(card)[pages.PAGE].decode()
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;/script&gt;" in page
    assert "no request that was asked names it alone" in page
    assert "worse answers" in page


def test_the_json_is_the_card_and_the_store_keeps_all(card: ModelCard, tmp_path: Path) -> None:
    store = in_folder(tmp_path).store
    pages.keep(store, card)
    pages.keep(store, card)
    assert msgspec.json.decode(pages.kept(store, card.version), type=ModelCard) == card
    assert sorted(store.list("cards")) == sorted(pages.key(card.version, each) for each in pages.files(card))
    with pytest.raises(FileNotFoundError):
        pages.kept(store, "support-ffffffffffff")


def test_what_was_not_done_is_a_limit(card: ModelCard) -> None:
    assert any("no safety prompts" in each for each in card.limits)
    assert any("retrain.consent" in each for each in card.limits)
    assert any("no label of those that judge it" in each for each in card.limits)
