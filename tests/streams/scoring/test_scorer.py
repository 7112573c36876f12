"""The one way to a loss: what has none is counted by its reason, and never taken for wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from streams.messages import Message, ReplyChoice, ToolCall
from streams.scoring.agreement import agreement, person_score
from streams.scoring.rows import AnsweredRow, Unjudged, served_row
from streams.scoring.scorer import Scorer, Scorers
from streams.scoring.settings import ByName, ScoringSettings
from tests.streams.support.traffic import served


class Drawn:
    def __init__(self, *found: float | Unjudged) -> None:
        self.found = list(found)

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        return self.found


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_loss_is_what_is_lacking_and_rows_without_one_are_counted() -> None:
    scorer = Scorer("drawn", ByName(name="exact_match"), Drawn(1.0, 0.25, Unjudged.AWAY, Unjudged.AWAY, Unjudged.SLOW))
    rows = [AnsweredRow({}, "", [])] * 5
    assert await scorer.losses(rows) == [0.0, 0.75, None, None, None]
    assert counted("homeostat_answers_scored_total", alias="drawn") == 2
    reasons = {why: counted("homeostat_answers_unjudged_total", alias="drawn", reason=why) for why in ("away", "slow")}
    assert reasons == {"away": 2, "slow": 1}


def test_a_process_with_a_wrong_metric_does_not_start(tmp_path: Path) -> None:
    for metric in ({"schema": str(tmp_path / "lost.json")}, {"callable": "no_such_module:score"}):
        with pytest.raises(ValueError, match=r"scoring\.metrics\.support\.(schema|callable) is "):
            Scorers(ScoringSettings(metrics={"support": metric}), tmp_path)


async def test_an_alias_without_a_metric_is_compared_exactly(tmp_path: Path) -> None:
    scorers = Scorers(ScoringSettings(metrics={"drafts": "rouge_l"}), tmp_path)
    rows = [AnsweredRow({}, "a b", [], "A b."), AnsweredRow({}, "a b", [], "a c")]
    assert await scorers.of("support").losses(rows) == [0.0, 1.0]
    assert await scorers.of("drafts").losses(rows) == [0.0, 0.5]


def test_a_served_reply_is_scored_with_all_of_its_request() -> None:
    tools = [{"type": "function", "function": {"name": "block"}}]
    call = ReplyChoice(tool_calls=[ToolCall("block", "{}")], finish_reason="tool_calls")
    plain = msgspec.structs.replace(served("support", 1), input_messages=[Message("user", "Block it.")])
    event = msgspec.structs.replace(plain, request={"tools": tools}, choices=[call])
    row = served_row(event, "[]")
    assert (row.request["tools"], row.request["messages"]) == (tools, [{"role": "user", "content": "Block it."}])
    assert (row.text, row.truth, row.choices[0]["finish_reason"]) == (event.output, "[]", "tool_calls")
    assert served_row(plain).choices[0]["message"] == {"role": "assistant", "content": event.output}


def test_a_judge_is_compared_with_people() -> None:
    found = agreement([(0.9, 1.0), (0.6, 1.0), (0.7, 0.0), (0.2, 0.0)])
    assert (found.rows, found.agreement) == (4, 0.75)
    assert found.mean_error == pytest.approx(0.35)
    assert found.bias == pytest.approx(0.1)
    assert found.correlation is not None
    assert 0 < found.correlation < 1
    assert agreement([(0.5, 1.0), (0.5, 0.0)]).correlation is None
    assert agreement([]).agreement is None


def test_a_persons_score_is_taken_only_from_what_says_one() -> None:
    given: list[dict[str, Any]] = [{"score": 0.3, "thumb": True}, {"thumb": True}]
    given += [{"label": "lost card"}, {"label": "card arrival"}]
    long = "A much longer text, which a reviewer would have liked better than that."
    scores = [person_score("Lost card.", each) for each in (*given, {"correction": long}, {})]
    assert scores == [0.3, 1.0, 1.0, 0.0, None, None]
