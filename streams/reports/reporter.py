"""An alarm's report: the lake's rows from before its onset against those since. Rendered in a process of its own, after
the alarm is out; a report that fails does no harm and can be made again: `python -m streams.reports.reporter`."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from monitor.describe.descriptors import Describer
from monitor.describe.patterns import Forbidden
from monitor.reference.shared import of_reference, own_text
from streams import metrics
from streams.events import AlarmRaised, InferenceServed
from streams.kinds import Arm
from streams.lake import table as rows
from streams.lake.lake import Lake
from streams.objects.opening import Storage
from streams.objects.store import ObjectStore, replace
from streams.reports import page
from streams.reports.keys import REPORTS, keys, page_key
from streams.reports.page import ReportExample
from streams.topics import INFERENCE

log = structlog.get_logger()

TIMEOUT_S = 300.0
TRIES = 3  # a renderer may be killed; and rows of a partition that another worker has may still be on their way
WAIT_S = 2.0
LOOK_S = 10.0  # with a bucket, whether a report is there
WAITING = 20  # alarms whose report is still to come; more are left out


def renders_here() -> bool:
    """Return whether Evidently is installed; where it is not, `homeostat run renderer` makes the pages."""
    with suppress(ModuleNotFoundError):
        return importlib.util.find_spec("evidently") is not None
    return False


class ReportRequest(msgspec.Struct, frozen=True):
    """The order to the process that renders, as JSON on its standard input."""

    alarm: AlarmRaised
    storage: Storage
    events: int
    policy_patterns: dict[str, str] = {}

    def encoded(self) -> bytes:
        """Return the order as JSON."""
        return msgspec.json.encode(self, enc_hook=str)

    @classmethod
    def decoded(cls, data: bytes) -> ReportRequest:
        """Return the order that is written there."""

        def made(kind: Any, value: Any) -> Any:
            return kind(value)

        return msgspec.json.decode(data, type=cls, dec_hook=made)


@dataclass(slots=True)
class Reporter:
    """Renders one report after another, in the background: the newest first, which people look for."""

    storage: Storage
    events: int
    policy_patterns: Mapping[str, str] = field(default_factory=dict)
    lake_lag_s: float = 0.0  # rows are in the lake so long after they were judged
    queue: asyncio.Queue[AlarmRaised] = field(default_factory=lambda: asyncio.LifoQueue(WAITING))
    asked: set[str] = field(default_factory=set)  # alarms that wait or are being rendered
    renders: bool = field(default_factory=renders_here)  # else a renderer of its own does, and nothing is queued

    def ask(self, alarm: AlarmRaised) -> None:
        """Queue the alarm's report, and return at once. An alarm whose report is on its way, or another's work, or that
        has none, is left alone."""
        if alarm.report is None or alarm.id in self.asked or not self.renders:
            return
        if self.queue.full():
            log.warning("report left out, too many are waiting", alarm=alarm.id)
        else:
            self.asked.add(alarm.id)
            self.queue.put_nowait(alarm)

    async def run(self) -> None:
        """Render the reports asked for; never end by itself."""
        while True:
            alarm = await self.queue.get()
            await asyncio.sleep(self.lake_lag_s)
            outcome = "rendered" if await self.rendered(alarm) else "failed"
            metrics.REPORTS.labels(outcome).inc()
            self.asked.discard(alarm.id)

    async def rendered(self, alarm: AlarmRaised) -> bool:
        """Render a report in a few tries, where it is not there yet; return whether one succeeded."""
        store = self.storage.objects(LOOK_S)
        for left in reversed(range(TRIES)):
            try:
                if not await asyncio.to_thread(store.holds, page_key(alarm.id)):
                    await self._render(alarm)
                return True
            except Exception as error:
                log.error("report failed", alarm=alarm.id, error=str(error), tries_left=left)
                await asyncio.sleep(WAIT_S if left else 0)
        return False

    async def _render(self, alarm: AlarmRaised) -> None:
        order = ReportRequest(alarm, self.storage, self.events, dict(self.policy_patterns))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "streams.reports.reporter"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, errors = await asyncio.wait_for(process.communicate(order.encoded()), TIMEOUT_S)
        except BaseException:
            process.kill()
            await process.communicate()  # it is gone, and its pipes are closed
            raise
        if process.returncode:
            raise RuntimeError(errors.decode(errors="replace").strip()[-500:] or f"exit {process.returncode}")
        log.info("report rendered", alarm=alarm.id, at=alarm.report)


def missing(
    alarms: Iterable[AlarmRaised], store: ObjectStore, since_ms: int = 0, most: int = WAITING // 2
) -> list[AlarmRaised]:
    """Return the newest alarms whose report should be there and is not, `most` of them. Those from before `since_ms`
    are left out: the lake may keep their rows no more."""
    there = set(store.list(REPORTS))
    wanted = [alarm for alarm in alarms if alarm.report is not None and alarm.time_ms >= since_ms]
    lacking = [alarm for alarm in wanted if page_key(alarm.id) not in there]
    return lacking[-most:]


def render(request: ReportRequest) -> str:
    """Put the alarm's report into the store, its page last, and return where it is. Raises ValueError where the alarm
    wants none or the lake lacks one of the sides."""
    from streams.reports import evidently_report as report

    alarm, storage, describe = request.alarm, request.storage, Describer(Forbidden(request.policy_patterns))
    if alarm.report is None:
        raise ValueError(f"alarm {alarm.id} of kind {alarm.kind.value} has no report")
    lake, store = Lake.of(storage), storage.objects()
    before, since = gathered(lake.rows(INFERENCE, alias=alarm.alias, until_ms=alarm.time_ms + 1), alarm, request.events)
    shown = examples(lake, alarm)
    found = report.compare(describe.names, *_sides(describe, before, since), page.page(alarm, shown))
    for key, content in zip(keys(alarm.id), (page.lines(shown), found.snapshot, found.page), strict=True):
        replace(store, key, content)
    return storage.page(page_key(alarm.id))


def gathered(tables: Iterable[pa.Table], alarm: AlarmRaised, events: int) -> tuple[pa.Table, pa.Table]:
    """Return the sides of rows that come a part at a time, in any order; only the sides and a part are in memory."""
    held: list[pa.Table] = []
    for table in tables:
        held = list(sides(rows.in_order(INFERENCE, [*held, table]), alarm, events))
    return sides(rows.in_order(INFERENCE, held), alarm, events)


def examples(lake: Lake, alarm: AlarmRaised) -> list[ReportExample]:
    """Return the replies that the alarm names, in its order; those that the lake lacks are left out."""
    named = [str(id) for id in alarm.evidence.get("examples", [])]
    parts = lake.by_ids(INFERENCE, named, alias=alarm.alias, until_ms=alarm.time_ms + 1)
    found = {event.id: event for part in parts for event in rows.events(InferenceServed, part)}
    return [
        ReportExample(
            id=id,
            time_ms=found[id].time_ms,
            question=rows.question(found[id].input_messages),
            answer=found[id].output,
            tags=found[id].tags,
        )
        for id in named
        if id in found
    ]


def sides(table: pa.Table, alarm: AlarmRaised, events: int) -> tuple[pa.Table, pa.Table]:
    """Return the version's first `events` answers before the onset, and its last ones since. Events come out of order,
    so the onset may be younger than the event that completed the evidence: that one is on the later side."""
    onset_ms = min(alarm.onset_ms, alarm.time_ms)
    mine = (
        (pc.field("version") == alarm.version) & (pc.field("arm") == Arm.CHAMPION.value) & (pc.field("status") == 200)
    )
    before = table.filter(mine & (pc.field("time_ms") < onset_ms))
    since = table.filter(mine & (pc.field("time_ms") >= onset_ms))
    return before.slice(0, events), since.slice(max(0, since.num_rows - events))


def _sides(describe: Describer, before: pa.Table, since: pa.Table) -> tuple[list[list[float]], list[list[float]]]:
    """Return the descriptors of both sides, without what the prompts of the earlier one share: as the judge has them,
    whose reference may be of other events."""
    one, other = (describe.read(rows.replies(table)) for table in (before, since))
    shared, own = of_reference(describe.names, one.values.tolist(), one.prints, one.passages)
    return own.rows, own_text(shared, describe.names, other.values.tolist(), other.prints, other.passages).rows


def main() -> None:
    """Render the report that is ordered as JSON on standard input."""
    os.nice(10)  # it is in no hurry; the worker on this machine is
    signal.alarm(round(TIMEOUT_S))  # a worker that was killed ends no renderer
    render(ReportRequest.decoded(sys.stdin.buffer.read()))


if __name__ == "__main__":
    main()
