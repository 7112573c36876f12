"""A judge model's scores and people's, on the replies of the lake that have both."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streams.events import InferenceServed
from streams.lake.lake import Lake
from streams.lake.table import events, scored
from streams.scoring.agreement import JudgeAgreement, agreement, person_score
from streams.scoring.rows import Unjudged, served_row
from streams.scoring.scorer import Scorer
from streams.topics import FEEDBACK, INFERENCE

JUDGEMENT = ("label", "correction", "score", "thumb")


@dataclass(frozen=True, slots=True)
class JudgedReplies:
    """How the judge agrees with people, and the rows that it gave no score, by reason."""

    found: JudgeAgreement
    unjudged: Counter[str]

    def text(self) -> str:
        """Return it for people."""
        found = self.found
        lines = [f"{found.rows} replies with a person's judgement and the judge's"]
        lines += [f"{count} more without the judge's: {why}" for why, count in sorted(self.unjudged.items())]
        figures = {
            "agreement": found.agreement,
            "mean error": found.mean_error,
            "bias (above 0: too mild)": found.bias,
            "correlation": found.correlation,
        }
        return "\n".join([*lines, *(f"{name}: {value:.3f}" for name, value in figures.items() if value is not None)])


def against_people(lake: Lake, scorer: Scorer, most: int) -> JudgedReplies:
    """Score the newest replies, `most` at most, of which a person's score is known, without showing it to the judge
    (`scorer`)."""
    judged = _newest(lake, scorer.alias, most)
    parts = lake.by_ids(INFERENCE, judged, alias=scorer.alias)
    replies = [event for part in parts for event in events(InferenceServed, part) if event.status == 200]
    people = [person_score(event.output, judged[event.id]) for event in replies]
    both = [(event, score) for event, score in zip(replies, people, strict=True) if score is not None]
    scores = asyncio.run(scorer.scores([served_row(event) for event, _ in both]))
    pairs = [
        (judge, person) for judge, (_, person) in zip(scores, both, strict=True) if not isinstance(judge, Unjudged)
    ]
    return JudgedReplies(agreement(pairs), Counter(each for each in scores if isinstance(each, Unjudged)))


def _newest(lake: Lake, alias: str, most: int) -> dict[str, dict[str, Any]]:
    """Return the last judgement of each of the replies that were judged last."""
    times: dict[str, int] = {}
    for part in map(_people, lake.rows(FEEDBACK, alias=alias, columns=("event_id", "time_ms", "source"))):
        for id, time_ms in zip(part["event_id"].to_pylist(), part["time_ms"].to_pylist(), strict=True):
            times[id] = max(time_ms, times.get(id, 0))
    newest = sorted(times, key=lambda id: (times[id], id))[-most:]
    parts = lake.by_ids(FEEDBACK, newest, column="event_id", alias=alias, columns=("event_id", "source", *JUDGEMENT))
    return {given["event_id"]: given for part in map(_people, parts) for given in part.to_pylist()}


def _people(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.invert(scored(rows)))
