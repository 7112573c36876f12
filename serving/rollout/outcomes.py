"""The outcomes in a batch of scores for a candidate and its champion."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from monitor.describe.descriptors import POLICY
from monitor.describe.people import person
from monitor.rows import ScoreRows
from monitor.selection.sources import is_drawn
from monitor.signals.flags import FLAGS
from monitor.watch.event_times import made_ms
from serving.rollout.guard import ReplyOutcome
from serving.rollout.senders import Senders
from serving.rollout.sessions import Sessions
from serving.rollout.state import Rollout, RolloutState
from streams.events import ScoreBatch
from streams.kinds import Arm
from streams.topics import INFERENCE

ANSWERED, CUT = 200, "length"


def outcomes(
    batch: ScoreBatch, rollout: Rollout, slow_ms: float, watermark: int, senders: Senders
) -> list[ReplyOutcome]:
    """Return the outcomes of the two versions from the offset `watermark` on; `senders` takes note of who was behind
    them. Shadow replies reach no client. While there is a canary, a reply counts for the arm that was drawn for it,
    and none whose request came before; afterwards for the version that answered."""
    rows, served = batch.rows.after(watermark), batch.source_topic == INFERENCE.name
    found: list[ReplyOutcome] = []
    names = batch.descriptor_names if rollout.trial else []
    flags = [column for column, name in enumerate(names) if name in FLAGS or name.startswith(POLICY)]
    for i, version in enumerate(rows.versions):
        if version not in (rollout.candidate, rollout.champion) or rows.arms[i] == Arm.SHADOW:
            continue
        if rollout.state is RolloutState.CANARY and _before(rows.ids[i], rollout):
            continue
        outcome = _reply(rows, i, slow_ms, senders) if served else _label(rows, i, senders)
        if outcome is not None:
            outcome = replace(outcome, flagged=_flagged(rows, i, flags)) if flags and served else outcome
            found.append(_armed(outcome, rows, i, rollout))
    return found


def _flagged(rows: ScoreRows, i: int, flags: Sequence[int]) -> bool | None:
    """Return whether the answer is cut off, or carries a flag; None where there is no answer."""
    if rows.statuses[i] != ANSWERED:
        return None
    cut = bool(rows.finish_reasons) and rows.finish_reasons[i] == CUT
    return cut or any(rows.descriptors[i][column] > 0 for column in flags)


def follow(sessions: Sessions, batch: ScoreBatch, rollout: Rollout, watermark: int) -> None:
    """Take the replies and complaints of a trial from the offset `watermark` on."""
    rows, served = batch.rows.after(watermark), batch.source_topic == INFERENCE.name
    for i, version in enumerate(rows.versions):
        ours = version in (rollout.candidate, rollout.champion) and rows.arms[i] != Arm.SHADOW
        if not ours or rollout.state is not RolloutState.CANARY or _before(rows.ids[i], rollout):
            continue
        at_ms = (rows.logged_ms or rows.times_ms)[i]
        if served:
            unit = rows.units[i] if rows.units else 0
            sessions.reply(rows.ids[i], unit, candidate=_drawn(rows, i), at_ms=at_ms)
        elif rows.complaints and rows.complaints[i]:
            sessions.complaint(rows.ids[i], at_ms)


def _reply(rows: ScoreRows, i: int, slow_ms: float, senders: Senders) -> ReplyOutcome:
    error = rows.statuses[i] >= 500
    nth = senders.reply(rows.ids[i], rows.units[i] if rows.units else 0, person(rows.clients[i]))
    return ReplyOutcome(False, error=error, slow=None if error else rows.latency_ms[i] > slow_ms, nth=nth)


def _label(rows: ScoreRows, i: int, senders: Senders) -> ReplyOutcome | None:
    """Return the outcome of a label; None where it says nothing of its own, or is of a reply that was drawn because it
    looked doubtful: of one version, and not weighed here."""
    loss, given_ms = rows.losses[i], (rows.logged_ms or rows.times_ms)[i]
    drawn = bool(rows.origins) and is_drawn(rows.origins[i])
    nth = None if loss is None or drawn else senders.label(rows.ids[i], rows.clients[i], given_ms)
    return None if nth is None else ReplyOutcome(False, wrong=loss, nth=nth)


def _armed(outcome: ReplyOutcome, rows: ScoreRows, i: int, rollout: Rollout) -> ReplyOutcome:
    """Return the outcome with its arm."""
    candidate = rows.versions[i] == rollout.candidate
    drawn = _drawn(rows, i) if rollout.state is RolloutState.CANARY else candidate
    return replace(outcome, candidate=drawn, answered=drawn is candidate)


def _drawn(rows: ScoreRows, i: int) -> bool:
    """Return whether the canary's arm was drawn."""
    return (rows.assigned or rows.arms)[i] == Arm.CANARY


def _before(event_id: str, rollout: Rollout) -> bool:
    made = made_ms(event_id)
    return made is not None and made < rollout.begun_ms
