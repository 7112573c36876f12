"""A world of one kind through the pure parts of the loop: events are taken in and judged, labels become a dataset, and
a simulated candidate comes before the gate. The model is right with a given chance, and else answers another row's
label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from deploy.demo.world import users
from deploy.demo.world.answers import reply
from deploy.demo.world.kinds import WorldKind, metric
from deploy.demo.world.requests import TURNS
from deploy.demo.world.world import as_kind, world
from deploy.operator.rows import LabelledRow
from monitor.findings import Alarm, Finding
from monitor.judge import AliasState, Batch, start, update
from monitor.metrics import METRICS
from monitor.settings import ComplaintSettings, MonitorSettings
from retrain.data import labelled_rows
from retrain.data.dataset import Dataset, build
from retrain.data.example import FRESH, Example
from retrain.evaluation import comparison, gate
from retrain.evaluation.pairs import AnsweredRows
from retrain.settings import RetrainSettings
from serving.gateway.openai.messages import messages
from streams import codec
from streams.events import FeedbackGiven, InferenceServed, ScoreBatch
from streams.ingest.duplicates import RecentIds
from streams.ingest.prepare import GIVEN, SERVED, Prepared, prepare
from streams.kinds import Arm
from streams.log.read import Raw
from streams.scoring.rows import served_row
from streams.scoring.scorer import Scorer
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.support.lakes import at, put
from tests.streams.support.traffic import START_MS

ALIAS, VERSION = "support", "support-0123456789ab"
RIGHT, HARMED = 0.95, 0.3  # of the answers
TOGETHER, STEP_MS = 20, 500  # replies in a batch, and between two of them
PEOPLE, OPEN = 300, 30  # users, and conversations at a time
SETTINGS = MonitorSettings(reference_events=300, complaints=ComplaintSettings(wait_s=60.0))
RETRAIN = RetrainSettings()


@cache
def rows(kind: WorldKind, later: bool) -> list[LabelledRow]:
    """The tickets before or after new subjects came."""
    return as_kind(kind, 0, bare()[later], "later" if later else "before")


@cache
def subjects() -> dict[str, str]:
    return {row.text: row.label for part in bare() for row in part}


@cache
def bare() -> tuple[list[LabelledRow], list[LabelledRow]]:
    return world()


@dataclass
class PureLoop:
    """The way of replies and labels of one kind; `events` and `labels` are all that were taken in."""

    kind: WorldKind
    seed: int = 0
    state: AliasState = field(default_factory=lambda: start(ALIAS))
    findings: list[Finding] = field(default_factory=list)
    events: list[InferenceServed] = field(default_factory=list)
    labels: list[FeedbackGiven] = field(default_factory=list)
    now_ms: int = START_MS
    served: int = 0
    _records: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.rng = Random(f"{self.kind} {self.seed}")
        self.scorer = Scorer.of(metric(self.kind), ALIAS, Path())
        self.taken = {SERVED.name: RecentIds(1_000), GIVEN.name: RecentIds(1_000)}

    async def go_on(self, replies: int, accuracy: float, *, later: bool = False, silent: bool = False) -> None:
        """Serve so many replies, and give what users send back, unless they are silent."""
        for _ in range(0, replies, TOGETHER):
            served = [self._served(accuracy, later) for _ in range(TOGETHER)]
            self._take(prepare(SERVED, self.taken["inference"], self._raws("inference", [each[0] for each in served])))
            given = [label for each in served if not silent and (label := await self._given(*each)) is not None]
            if given:
                self._take(prepare(GIVEN, self.taken["feedback"], self._raws("feedback", given)))
            self.events += [each[0] for each in served]
            self.labels += given

    async def until(self, alarm: str, most: int, accuracy: float) -> int | None:
        """Go on with the later tickets until the alarm. Return the replies that it took, None where `most` did not
        suffice."""
        before = len(self.events)
        while not self.alarms(alarm) and len(self.events) < before + most:
            await self.go_on(TOGETHER, accuracy, later=True)
        return len(self.events) - before if self.alarms(alarm) else None

    def alarms(self, kind: str) -> list[Alarm]:
        return [each for each in self.findings if isinstance(each, Alarm) and each.kind == kind]

    def dataset(self, root: Path, since_ms: int) -> Dataset:
        """The dataset of a retraining for harm since then, by way of the lake."""
        lake = at(root)
        put(lake, INFERENCE, self.events)
        put(lake, FEEDBACK, self.labels)
        fresh = labelled_rows.fresh(lake, ALIAS, since_ms)
        return build(RETRAIN, fresh, labelled_rows.healthy(lake, ALIAS, since_ms), [], self._losses)

    async def verdict(self, dataset: Dataset, candidate: str, accuracy: float) -> gate.GateVerdict:
        """The gate's, of a candidate that is right on such a share of the later tickets."""
        sides = Sides(self, (candidate, accuracy))
        asked = comparison.start(RETRAIN, candidate, VERSION, None, {})
        return gate.judge(await comparison.judged(asked, dataset, sides, RETRAIN.step_rows))

    def answer(self, rng: Random, text: str, truth: str, *, right: bool) -> str:
        """An answer of the model to a ticket; right ones in words are worded in their own way."""
        if right:
            return reply(rng, text, subjects()[text]) if self.kind == "free text" else truth
        while (other := rng.choice(rows(self.kind, False)).label) == truth:
            pass
        return other

    def _served(self, accuracy: float, later: bool) -> tuple[InferenceServed, str, bool]:
        """A reply, its truth, and whether it is right."""
        self.now_ms += STEP_MS
        number, self.served = self.served, self.served + 1
        row, right = self.rng.choice(rows(self.kind, later)), self.rng.random() < accuracy
        output = self.answer(self.rng, row.text, row.label, right=right)
        who = number // (TURNS * OPEN) * OPEN + self.rng.randrange(OPEN) if self.kind == "conversation" else None
        sure = users.log_probability(self.kind, self.rng, right=right)
        event = InferenceServed(
            id=f"{ALIAS}-{number:08d}",
            time_ms=self.now_ms,
            alias=ALIAS,
            version=VERSION,
            replica="replica-1",
            arm=Arm.CHAMPION,
            operation="chat",
            client=f"app/{self.rng.randrange(PEOPLE) if who is None else who}",
            input_messages=messages(row.asked),
            output=output,
            input_tokens=len(row.text.split()),
            output_tokens=len(output.split()),
            ttft_ms=20.0,
            tpot_ms=5.0,
            latency_ms=40.0,
            finish_reason="tool_calls" if self.kind == "tools" else "stop",
            logprob_mean=sure,
            logprob_min=2.0 * sure,
            status=200,
            comparable=True,
            request=row.request,
            conversation="" if who is None else f"conversation-{who}",
        )
        return event, row.label, right

    async def _given(self, event: InferenceServed, truth: str, right: bool) -> FeedbackGiven | None:
        given = users.feedback(self.kind, self.rng, truth, right=right)
        if given is None:
            return None
        wanted = given.label or given.correction
        (loss,) = await self.scorer.losses([served_row(event, wanted)]) if wanted else (None,)
        return FeedbackGiven(
            id=codec.deterministic_id("feedback", event.id),
            event_id=event.id,
            time_ms=self.now_ms,
            alias=ALIAS,
            version=VERSION,
            arm=event.arm,
            by="app",
            label=given.label,
            correction=given.correction,
            thumb=given.thumb,
            origin="volunteered/app" if self.kind in users.VOLUNTEERED else "random/app",
            loss=loss,
            metric=self.scorer.name if loss is not None else "",
        )

    def _raws(self, source: str, some: Sequence[InferenceServed | FeedbackGiven]) -> list[Raw]:
        first = self._records[source]
        self._records[source] += len(some)
        return [Raw(0, first + i, each.time_ms, None, codec.encode(each)) for i, each in enumerate(some)]

    def _take(self, prepared: Prepared) -> None:
        assert prepared.dead_letters == []
        for record in prepared.built.scores:
            scores = codec.decode(ScoreBatch, record.value)
            batch = Batch(
                source="inference" if scores.source_topic == INFERENCE.name else "feedback",
                partition=scores.partition,
                first_offset=scores.first_offset,
                last_offset=scores.last_offset,
                descriptor_names=scores.descriptor_names,
                rows=scores.rows,
                time_ms=self.now_ms,
            )
            self.state, found = update(SETTINGS, self.state, batch)
            self.findings += found

    def _losses(self, some: Sequence[Example]) -> list[float | None]:
        score = METRICS[self.scorer.name]
        return [1.0 - score(row.predicted, row.completion) for row in some]


@dataclass(frozen=True)
class Sides:
    """Versions, each right on such a share of the later tickets, that answer a row the same each time: a version that
    is compared with itself answers as itself."""

    loop: PureLoop
    candidate: tuple[str, float]
    champion: tuple[str, float] = (VERSION, HARMED)

    async def both(self, some: Sequence[Example]) -> AnsweredRows:
        mine, theirs = [await self._scores(*side, some) for side in (self.candidate, self.champion)]
        pairs = list(zip(mine, theirs, strict=True))
        return AnsweredRows(rows=list(some), pairs=pairs, cut=(0, 0), left_out=Counter())

    async def _scores(self, version: str, accuracy: float, some: Sequence[Example]) -> list[float]:
        answers = [self._answer(version, accuracy, row) for row in some]
        found = await self.loop.scorer.scores([row.answered(text) for row, text in zip(some, answers, strict=True)])
        return [float(each) for each in found]

    def _answer(self, version: str, accuracy: float, row: Example) -> str:
        rng = Random(f"{version} {row.id}")
        right = rng.random() < (accuracy if row.source == FRESH else RIGHT)
        return self.loop.answer(rng, row.messages[-1].content, row.completion, right=right)
