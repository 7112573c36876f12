"""Draws: replies picked for a label by chance, the doubtful ones more often than others.

A draw is of one version's replies since the draw before, so that each reply is in one draw at most. It leaves out those
whose label is awaited or known already, from an audit or another fair source: that choice was another one. The ledger
has the draw before anybody sees its rows; each row brings its chances along, signed.

Drawn labels are fair as long as nearly all of a draw is labelled, whatever the answers are. So a draw is given back
whole, and until it is, the next one lists the rest of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import msgspec
import numpy as np

from deploy.operator.actor import actor
from monitor.describe.descriptors import CONFIDENCE, POLICY, Describer
from monitor.selection.cohort import COMPLETE
from monitor.selection.doubts import doubts
from monitor.selection.sources import is_drawn, may_judge, origin, read
from monitor.selection.weights import UNIFORM, drawn, probabilities
from monitor.signals.flags import FLAGS
from streams import codec, ledger
from streams.events import DecisionRecorded, FeedbackGiven
from streams.identity import ReplyDraw, Signer, uuid7
from streams.ingest.arms import complains
from streams.kinds import Arm, DecisionKind
from streams.lake.lake import Lake
from streams.lake.table import events, replies
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.messages import comparable
from streams.topics import FEEDBACK, INFERENCE, LEDGER

ACTION = "draw"
REVIEWER = "reviewer"  # who gives the labels of `labels give`
MOST = 20_000  # replies among which is drawn: the newest
PLACES = ("id", "time_ms", "version", "arm", "status", "comparable", "output", "cohorts")
DIGITS = 6  # of a chance


class LabelDraw(msgspec.Struct, frozen=True, kw_only=True):
    """One draw. `drawn`: the chance of each reply that was picked; `share`: the mean chance of all `replies`."""

    id: str
    time_ms: int
    version: str
    until_ms: int  # up to which replies were looked at
    replies: int
    share: float
    drawn: dict[str, float]

    def signed(self, signer: Signer, event_id: str) -> str:
        """Return what a label of this reply brings back."""
        return signer.sign_draw(event_id, ReplyDraw(self.share, self.drawn[event_id]))


@dataclass(frozen=True, slots=True)
class DrawProgress:
    """How far a draw is labelled. `lacking`: its replies without a label, of `replies` that are in the lake."""

    lacking: list[str]
    replies: int

    @property
    def whole(self) -> bool:
        """Return whether enough of the draw is labelled to prove something."""
        return len(self.lacking) <= (1.0 - COMPLETE) * self.replies


@dataclass(frozen=True, slots=True)
class DrawOrder:
    """What is asked of a draw: about `count` replies, none older than `since_ms`. The same seed draws the same of the
    same replies."""

    count: int
    seed: str
    since_ms: int
    now_ms: int


def made(kafka: KafkaSettings, alias: str) -> list[LabelDraw]:
    """Return the alias's draws so far, in their order."""
    mark = f'"action":"{ACTION}"'.encode()
    decisions = (codec.decode(DecisionRecorded, value) for _, value in ledger.records(kafka) if mark in value)
    return [msgspec.convert(each.output, LabelDraw) for each in ledger.once(decisions) if each.alias == alias]


def require_source(declared: Mapping[str, str]) -> None:
    """Raise ValueError where no label of a drawn reply could prove anything: neither a reviewer's nor any key's."""
    given = origin(declared, REVIEWER, REVIEWER, audited=False, probability=UNIFORM)
    if not is_drawn(given.name) and "wanted" not in declared.values():
        raise ValueError(
            f"labels.sources.{REVIEWER} is {declared[REVIEWER]!r}, expected audit, random or wanted, or a key that is "
            "declared as wanted: else no label of a drawn reply proves anything"
        )


def progress(lake: Lake, alias: str, draw: LabelDraw, given: Collection[str] = ()) -> DrawProgress:
    """Return which replies of a draw have no label as drawn ones. `given`: those that get one now. Replies that are
    gone, because their person was forgotten or they grew old, can have none."""
    done = {*given, *labelled(lake, alias, draw.drawn, is_drawn)}
    there: set[str] = set()
    for part in lake.by_ids(INFERENCE, draw.drawn, alias=alias, columns=("id",)):
        there |= {*part["id"].to_pylist()}
    return DrawProgress([id for id in draw.drawn if id in there - done], len(there))


def ordered(kafka: KafkaSettings, lake: Lake, alias: str, asked: DrawOrder) -> LabelDraw:
    """Return the draw whose rows are to be labelled; a new one is recorded before. Raise ValueError where nothing can
    be drawn."""
    earlier = made(kafka, alias)
    found = current(earlier, lake, alias, asked)
    if found not in earlier:
        _record(kafka, alias, found, {"action": ACTION, "by": actor(), "count": asked.count, "seed": asked.seed})
    return found


def labelled(lake: Lake, alias: str, ids: Iterable[str], by: Callable[[str], bool]) -> set[str]:
    """Return those of these replies that have a label by such an origin; a thumb or a score is none."""
    columns = ("event_id", "origin", "label", "correction")
    rows = (
        row
        for part in lake.by_ids(FEEDBACK, ids, column="event_id", alias=alias, columns=columns)
        for row in part.to_pylist()
    )
    return {row["event_id"] for row in rows if by(row["origin"] or "") and (row["label"] or row["correction"])}


def current(earlier: Sequence[LabelDraw], lake: Lake, alias: str, asked: DrawOrder) -> LabelDraw:
    """Return the last draw as long as it is not labelled whole and younger than `since_ms`, else a new one."""
    last = next(reversed(earlier), None)
    if last is not None and last.time_ms >= asked.since_ms and not progress(lake, alias, last).whole:
        return last
    return draw(earlier, lake, alias, asked)


def draw(earlier: Sequence[LabelDraw], lake: Lake, alias: str, asked: DrawOrder) -> LabelDraw:
    """Draw replies of the version that answered last, since its last draw. Raise ValueError where there are none, or
    none is drawn: that draw is none, and its replies are left for the next."""
    seen_ms, seed = {each.version: each.until_ms for each in earlier}, asked.seed
    version, until_ms, ids = _population(lake, alias, asked.since_ms, seen_ms)
    doubted = _doubts(lake, alias, ids, seed)
    if not doubted:
        raise ValueError(f"{alias}: no reply since the last draw waits for a label, expected some; draw again later")
    share = min(1.0, asked.count / len(doubted))
    chances = [max(round(each, DIGITS), 10.0**-DIGITS) for each in probabilities(list(doubted.values()), share)]
    picked = {id: chance for id, chance in zip(doubted, chances, strict=True) if drawn(id, chance, seed)}
    if not picked:
        raise ValueError(
            f"{alias}: none of {len(chances)} replies was drawn where about {asked.count} was asked for, expected one "
            "or more; draw again, or ask for more"
        )
    return LabelDraw(
        id=uuid7(asked.now_ms),
        time_ms=asked.now_ms,
        version=version,
        until_ms=until_ms,
        replies=len(chances),
        share=round(math.fsum(chances) / len(chances), DIGITS),
        drawn=picked,
    )


def _population(lake: Lake, alias: str, since_ms: int, earlier: Mapping[str, int]) -> tuple[str, int, list[str]]:
    """Return the version that answered last, until when, and the ids of its newest replies that may be drawn."""
    version, until_ms, found = "", 0, list[tuple[int, str, str]]()
    for part in lake.rows(INFERENCE, alias=alias, since_ms=since_ms, columns=PLACES):
        for reply in part.to_pylist():
            if reply["arm"] != Arm.CHAMPION:
                continue
            if reply["time_ms"] >= until_ms:
                version, until_ms = reply["version"], reply["time_ms"]
            if reply["time_ms"] > earlier.get(reply["version"], -1) and _may_be_drawn(reply):
                found.append((reply["time_ms"], reply["id"], reply["version"]))
    ids = [id for _, id, its in sorted(found) if its == version][-MOST:]
    return version, until_ms, list(dict.fromkeys(ids))


def _may_be_drawn(reply: Mapping[str, object]) -> bool:
    """Check that a label can be compared with the reply, and that no source awaits one of it."""
    awaited = reply["cohorts"] not in (None, "", "[]")
    return reply["status"] == 200 and not awaited and comparable(reply["comparable"], str(reply["output"]))  # type: ignore[arg-type]


def _doubts(lake: Lake, alias: str, ids: Sequence[str], seed: str) -> dict[str, float]:
    """Return the doubt of each reply that has no fair label yet, by id."""
    complained, labelled = set[str](), set[str]()
    for given in _feedback(lake, alias, ids):
        if may_judge(read(given.origin).selection):
            labelled.add(given.event_id)
        elif complains(given):
            complained.add(given.event_id)
    describe, left = Describer(), [id for id in ids if id not in labelled]
    names = [*describe.names]
    flags = [i for i, name in enumerate(names) if name in FLAGS or name.startswith(POLICY)]
    known: dict[str, tuple[float, bool, bytes]] = {}
    for part in lake.by_ids(INFERENCE, left, alias=alias):
        described = describe.read(replies(part))
        for id, row, sums in zip(part["id"].to_pylist(), described.values, described.sums, strict=True):
            known[id] = float(row[names.index(CONFIDENCE[0])]), bool((row[flags] > 0.0).any()), sums
    order = [id for id in left if id in known]
    rng = np.random.default_rng(int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=8).digest(), "big"))
    columns = [[known[id][k] for id in order] for k in range(3)]
    found = doubts(columns[0], columns[1], [id in complained for id in order], columns[2], rng)  # type: ignore[arg-type]
    return dict(zip(order, found, strict=True))


def _feedback(lake: Lake, alias: str, ids: Sequence[str]) -> Iterator[FeedbackGiven]:
    for part in lake.by_ids(FEEDBACK, ids, column="event_id", alias=alias):
        yield from events(FeedbackGiven, part)


def _record(kafka: KafkaSettings, alias: str, draw: LabelDraw, inputs: dict[str, object]) -> None:
    decision = DecisionRecorded(
        id=draw.id,
        alias=alias,
        time_ms=draw.time_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs=inputs,
        output=codec.plain(draw),
        summary=f"cli: {len(draw.drawn)} of {draw.replies} replies of {draw.version} are drawn for a label",
    )
    with closing(Appender(kafka, "homeostat/cli")) as appender:
        appender.append(LEDGER, decision, id=decision.id, time_ms=decision.time_ms)
