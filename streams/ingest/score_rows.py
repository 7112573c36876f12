"""Replies and feedback as the judge's rows: columns, and of replies their descriptors. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from monitor.describe.descriptors import Describer, ReplyText
from monitor.metrics import normalise
from monitor.rows import ScoreRows
from monitor.selection.sources import BEFORE_SOURCES
from streams.events import FeedbackGiven, InferenceServed
from streams.ingest.arms import complains, drawn, rated, units, weights
from streams.lake import table as lake

Floats = NDArray[np.float64]
Served: TypeAlias = Sequence[tuple[int, InferenceServed]]  # offset and event
Given: TypeAlias = Sequence[tuple[int, FeedbackGiven]]

LONGEST_ANSWER = 48


def reply(event: InferenceServed) -> ReplyText:
    """Return the part of an event that the descriptors read."""
    return ReplyText(
        lake.question(event.input_messages),
        event.output,
        event.input_tokens,
        event.output_tokens,
        event.logprob_mean,
        event.logprob_min,
    )


def answer(output: str) -> str:
    """Return an answer that may be one of a few: short, and normalised. Empty for a text.

    >>> answer(" Card_Arrival. "), answer("Thank you for asking. " * 9)
    ('card_arrival', '')
    """
    return normalise(output) if len(output) <= LONGEST_ANSWER else ""


def score_served(
    entries: Served, describe: Describer, asked: Callable[[InferenceServed], str] = lambda _: ""
) -> tuple[ScoreRows, Floats]:
    """Return replies as the judge's rows, and their descriptors. `asked`: the name of the judge model that scores a
    reply, empty for none."""
    events = [event for _, event in entries]
    replies = [reply(event) for event in events]
    described = describe.read(replies)
    cohorts = [[*event.cohorts, name] if (name := asked(event)) else event.cohorts for event in events]
    rows = ScoreRows(
        offsets=[offset for offset, _ in entries],
        ids=[event.id for event in events],
        times_ms=[event.time_ms for event in events],
        versions=[event.version for event in events],
        arms=[event.arm.value for event in events],
        assigned=drawn(events),
        units=units(events),
        clients=[event.client for event in events],
        statuses=[event.status for event in events],
        ttft_ms=[event.ttft_ms for event in events],
        tpot_ms=[event.tpot_ms for event in events],
        latency_ms=[event.latency_ms for event in events],
        descriptors=described.values.tolist(),
        fingerprints=described.prints,
        sums=described.sums,
        passages=described.passages,
        finish_reasons=[event.finish_reason for event in events],
        answers=[answer(event.output) for event in events],
        tags=[event.tags for event in events],
        cohorts=cohorts if any(cohorts) else [],
    )
    return rows, described.values


def score_feedback(entries: Given, _: Describer) -> tuple[ScoreRows, Floats]:
    """Return feedback as the judge's rows; `ids` are those of the replies it is about."""
    events = [event for _, event in entries]
    ratings = [rated(event) for event in events]
    rows = ScoreRows(
        offsets=[offset for offset, _ in entries],
        ids=[event.event_id for event in events],
        times_ms=[event.time_ms for event in events],
        versions=[event.version for event in events],
        arms=[event.arm.value for event in events],
        assigned=drawn(events),
        clients=[event.by for event in events],
        origins=[event.origin or BEFORE_SOURCES for event in events],
        losses=[event.loss for event in events],
        metrics=[event.metric for event in events],
        complaints=[complains(event) for event in events],
        ratings=ratings if any(ratings) else [],
        weights=weights(events),
    )
    return rows, np.empty((len(events), 0))
