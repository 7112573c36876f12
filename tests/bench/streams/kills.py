"""Whether `kill -9` of workers changes anything: `python -m tests.bench.streams.kills [--events N] [--kills N] [--seed
N] [--s3]`.

A rough stream is sent and consumed while workers are killed, join and leave. What they leave behind is compared with
others that nobody disturbs: what was sent; a calm worker on a second broker, whose log is a copy of the first's, offset
by offset; and the pure judge over the first's scores. Prints a table and writes `var/bench/kills.json`.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
from msgspec.structs import replace

from deploy.stack import ports
from deploy.stack.kafka import EmbeddedKafka
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from streams.events import AlarmRaised, Event, ScoreBatch, WindowClosed
from streams.judge.memory import JudgeRecord
from streams.lake.lake import Lake
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.reports.reporter import missing
from streams.settings import WorkerSettings
from streams.topics import ALARMS, SCORES
from tests.bench.streams.crew import Crew, waited
from tests.bench.tools.figures import Figure, tell
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch
from tests.streams.support import oracle, rough
from tests.streams.support.mirror import mirror
from tests.streams.support.residue import EFFECTS, Residue, counted, differences, drained, effects, residue, spans
from tests.streams.support.rough import ALIASES, Item, Stream
from tests.streams.support.traffic import Plan, Process, within
from tests.support.s3 import KEYS, server

OUT = Path("var/bench/kills.json")
EVENTS, KILLS, SEED = 200_000, 20, 5
FOLDER = StorageSettings()
DRAINED_S = 1_800.0
PAGES_S = 600.0  # pages are made when nobody else wants the processors
JOINS, LEAVES = 2, 4  # of five kills
SENDING_S = 6.0  # for each: as long as it takes a worker to come back, so that whoever dies or joins finds work

Effects = dict[str, dict[str, dict[str, Event]]]  # by alias, kind and id


@dataclass(frozen=True, slots=True)
class Run:
    """What came of a group of workers."""

    plan: Plan
    left: Residue

    @property
    def kafka(self) -> KafkaSettings:
        return self.plan.kafka

    def effects(self) -> Effects:
        return {alias: effects(self.kafka, alias) for alias in ALIASES}


def measured(
    events: int = EVENTS, kills: int = KILLS, seed: int = SEED, where: StorageSettings = FOLDER
) -> list[Figure]:
    """Everything; takes about ten minutes with the usual numbers. `where` the killed workers keep what they keep; the
    calm one has a folder."""
    stream = rough.rough(events, seed)
    with scratch("kills") as root, broker(root / "rough") as kafka, broker(root / "calm") as copy:
        (root / "log").mkdir()
        crew = Crew(_plan(kafka, Storage(where, root / "rough"), events), root / "log", random.Random(seed))
        note(f"{len(stream.items)} records for workers that are killed")
        disturbed = storm(crew, stream.items, kills)
        note("the same log for a calm worker")
        mirror(kafka, copy)
        undisturbed = calm(
            replace(_plan(copy, within(root / "calm"), events), mirrored=True), root / "log" / "calm.log"
        )
        note("comparing")
        return [
            *_kills(crew, disturbed, kills),
            *_against_sent(disturbed, stream),
            *_against_calm(disturbed, undisturbed),
            *_against_judge(disturbed),
            *_effects(disturbed, undisturbed),
        ]


def storm(crew: Crew, items: Sequence[Item], kills: int) -> Run:
    """Sends and kills, then lets the rest be worked off."""
    size = -(-len(items) // (kills + 1))
    crew.join()
    try:
        for number in range(kills):
            sent = items[number * size :][:size]
            sending = threading.Thread(target=rough.send, args=(crew.plan.kafka, sent, SENDING_S), daemon=True)
            sending.start()
            if number % 5 == JOINS and len(crew.members) == 1:
                crew.join()
            crew.strike(sending)
            sending.join()
            note(f"kill {number + 1} of {kills}: {crew.blows[-1]}")
            if number % 5 == LEAVES and len(crew.members) == 2:
                crew.leave()
        rough.send(crew.plan.kafka, items[kills * size :])
        _settled(crew.plan)
        waited(lambda: not _missing(crew.plan), PAGES_S)
        crew.end()
        return Run(crew.plan, residue(crew.plan.kafka, crew.plan.storage))
    finally:
        crew.end(signal.SIGKILL)


def calm(plan: Plan, log: Path) -> Run:
    """One worker that nobody disturbs."""
    worker = Process(plan, log)
    worker.start()
    try:
        _settled(plan)
        worker.kill(signal.SIGTERM)
        return Run(plan, residue(plan.kafka, plan.storage))
    finally:
        worker.kill()


def _settled(plan: Plan) -> None:
    """Returns once nothing is left to do."""
    if waited(lambda: drained(plan.kafka, plan.settings.app_id), DRAINED_S) is None:
        raise TimeoutError(f"{plan.settings.app_id}: work was left after {DRAINED_S:g} s; see the worker's log")
    note("everything acknowledged")


def _missing(plan: Plan) -> list[AlarmRaised]:
    alarms = [each for alias in ALIASES for each in oracle.kept(plan.kafka, ALARMS, alias).values()]
    return missing((each for each in alarms if isinstance(each, AlarmRaised)), plan.storage.objects())


def _kills(crew: Crew, run: Run, kills: int) -> list[Figure]:
    back = [blow.back_s for blow in crew.blows if blow.back_s is not None]
    scored = sum(len(each.event.rows) for each in read(run.kafka, SCORES, ScoreBatch))
    once = sum(map(len, run.left.judged.values()))
    return [
        Figure("kill -9 of workers", len(crew.blows), "kills", kills, "higher"),
        Figure("of these, with work in hand", sum(blow.struck for blow in crew.blows), "kills"),
        Figure("rows scored again after a kill, judged once", scored - once, "rows"),
        Figure("kill -9 to the next event handled, half of them", statistics.median(back), "s", 10.0),
        Figure("kill -9 to the next event handled, the longest", max(back), "s"),
    ]


def _against_sent(run: Run, stream: Stream) -> list[Figure]:
    left, width = run.left, run.plan.settings.profile_window_s
    rows = spans(Lake.of(run.plan.storage), width)
    profiled = counted(left.profiles)
    return [
        _none("replies lost or doubled in the lake", differences(left.replies, Counter(stream.replies)), "ids"),
        _none("labels lost or doubled in the lake", differences(left.labels, Counter(stream.labels)), "ids"),
        _none("dead letters lost or doubled", abs(len(left.letters) - stream.poison), "letters"),
        _none("profiles that have not the lake's events", differences(profiled, {k: {n} for k, n in rows.items()})),
    ]


def _against_calm(run: Run, calm: Run) -> list[Figure]:
    mine, theirs = run.left, calm.left
    return [
        _none("rows of the lake that differ from a calm worker's", differences(mine.rows, theirs.rows), "rows"),
        _none("sums of tokens and latencies that differ", differences(mine.sums, theirs.sums), "sums"),
        _none("profiles whose counts or extremes differ", differences(mine.profiles, theirs.profiles)),
        _none("dead letters that differ", differences(mine.letters, theirs.letters), "letters"),
        _none("partitions whose judged rows or order differ", differences(mine.judged, theirs.judged)),
    ]


def _against_judge(run: Run) -> list[Figure]:
    """Beside the pure judge, which takes the same scores once."""
    rules = oracle.rules(run.plan)
    found, memories, uncounted = Counter[str](), 0, 0
    for alias, kinds in run.effects().items():
        memory, expected = oracle.judged(run.kafka, rules, alias)
        for kind, events in kinds.items():
            found[kind] += differences(events, expected[kind])
        memories += oracle.remembered(run.kafka, alias) != memory
        uncounted += abs(oracle.uncounted(run.kafka, memory, expected["windows"].values()))
    return [
        *(_none(f"{kind} that differ from the pure judge's", found[kind], kind) for kind in EFFECTS),
        _none("aliases whose memory differs", memories, "aliases"),
        _none("events neither in a window nor late, or twice", uncounted, "events"),
    ]


def _effects(run: Run, calm: Run) -> list[Figure]:
    """What was found beside the calm worker, bit for bit but for the folders of reports and profiles and the ids of the
    topics, which each run has of its own; and how much there was to lose."""
    mine, theirs = run.effects(), calm.effects()
    counts = {kind: sum(len(kinds[kind]) for kinds in mine.values()) for kind in EFFECTS}
    memories = {name: [oracle.remembered(each.kafka, name) for each in (run, calm)] for name in ALIASES}
    other = sum(_idless(one) != _idless(another) for one, another in memories.values())
    late = sum(pair[0].judge.windows.late for pair in memories.values() if pair[0])
    return [
        *(_none(f"{kind} that differ from a calm worker's", _differing(mine, theirs, kind), kind) for kind in EFFECTS),
        _none("memories that differ from a calm worker's", other, "aliases"),
        _none("alarms without their page", len(_missing(run.plan)), "alarms"),
        *(Figure(f"{kind} in all", count, kind) for kind, count in counts.items()),
        Figure("events judged after their window was closed", late, "events"),
    ]


def _idless(memory: JudgeRecord | None) -> JudgeRecord | None:
    return replace(memory, topics={}) if memory else None


def _differing(mine: Effects, theirs: Effects, kind: str) -> int:
    return sum(differences(_placeless(mine[alias][kind]), _placeless(theirs[alias][kind])) for alias in ALIASES)


def _placeless(events: Mapping[str, Event]) -> dict[str, Event]:
    """Without the folders, which each run has of its own."""
    return {
        id: replace(event, report=None)
        if isinstance(event, AlarmRaised)
        else replace(event, profile=None)
        if isinstance(event, WindowClosed)
        else event
        for id, event in events.items()
    }


def _none(name: str, value: int, unit: str = "") -> Figure:
    return Figure(name, value, unit, 0)


def _plan(kafka: KafkaSettings, storage: Storage, events: int) -> Plan:
    return Plan(kafka, WorkerSettings(app_id="kills"), storage, *rough.settings(events))


@contextmanager
def broker(folder: Path) -> Iterator[KafkaSettings]:
    """One of this measurement's own, with every topic."""
    kafka = EmbeddedKafka(folder, ports.free(1)[0], cache_folder())
    kafka.start()
    try:
        create_topics(kafka.settings)
        yield kafka.settings
    finally:
        kafka.stop()


@contextmanager
def bucket() -> Iterator[StorageSettings]:
    """One on S3's interface, and its keys in the environment."""
    with server() as s3, mock.patch.dict(os.environ, KEYS):
        yield s3.storage("kills")


@click.command()
@click.option("--events", default=EVENTS, show_default=True, help="Replies and labels, without duplicates and poison.")
@click.option("--kills", default=KILLS, show_default=True)
@click.option("--seed", default=SEED, show_default=True)
@click.option("--s3", is_flag=True, help="The killed workers keep all in a bucket (moto's); without it, in a folder.")
def main(events: int, kills: int, seed: int, s3: bool) -> None:
    """Kill workers and compare what is left."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    with bucket() if s3 else nullcontext(FOLDER) as where:
        tell(measured(events, kills, seed, where), OUT.with_stem("kills-s3") if s3 else OUT)


if __name__ == "__main__":
    main()
