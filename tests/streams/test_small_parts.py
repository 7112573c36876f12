"""The outbox, the ledger, dead letters, pauses and the watchdog."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import msgspec
import pytest
from aiokafka.errors import MessageSizeTooLargeError
from structlog.testing import capture_logs

from monitor.settings import MonitorSettings, PolicySettings
from streams import codec, ledger, metrics
from streams import dead_letters as dlq
from streams.events import AlarmRaised, DeadLetter, DecisionKind, DecisionRecorded, InferenceServed, RouteWritten
from streams.judge.paused import PausedAliases
from streams.log.outbox import Insistent, Outgoing, outgoing
from streams.log.read import Raw, Record
from streams.log.rejects import Aside, Kept
from streams.log.settings import KafkaSettings
from streams.reports.reporter import Reporter
from streams.settings import WorkerSettings
from streams.topics import FEEDBACK, INFERENCE, LEDGER, RESULTS, ROUTES, SCORES, TOPICS
from streams.worker.app import build
from streams.worker.faust_broker import credentials, urls
from streams.worker.lag import Measured, Place, Watchdog
from tests.streams.support.fakes import raws
from tests.streams.support.traffic import served


def decided(function: str = "policy.decide", place: str = "monitor.scores/0/7") -> DecisionRecorded:
    return ledger.entry(
        DecisionKind.POLICY,
        function,
        1,
        alias="support",
        place=place,
        time_ms=5,
        inputs={"state": {7: (1, 2.5)}},
        output=[{"tag": None}],
    )


class Flaky:
    """Takes a record, and fails the first `failures` times, at once or at the confirmation."""

    def __init__(self, failures: int) -> None:
        self.failures, self.arrived = failures, list[Outgoing]()

    async def send(self, record: Outgoing) -> Awaitable[None]:
        self.failures -= 1
        if self.failures >= 0 and self.failures % 2:
            raise ConnectionError("no broker")

        async def confirmed(fails: bool) -> None:
            if fails:
                raise TimeoutError("not in sync")
            self.arrived.append(record)

        return confirmed(self.failures >= 0)


@pytest.mark.parametrize("failures", [0, 1, 5, 9])
async def test_confirm_tries_until_every_record_arrived_once(failures: int) -> None:
    flaky = Flaky(failures)
    records = [outgoing(INFERENCE, served("support", i), id=str(i), time_ms=0) for i in range(4)]
    await asyncio.wait_for(Insistent(flaky.send, first_wait_s=0.001).confirm(records), 5)
    assert sorted(record.key for record in flaky.arrived) == sorted(record.key for record in records)


class Narrow(Flaky):
    """A broker that takes no record above some size; where one is sent together with others, it refuses them all."""

    def __init__(self, most: int) -> None:
        super().__init__(0)
        self.most, self.tried = most, 0
        self.together: list[Outgoing] = []

    async def send(self, record: Outgoing) -> Awaitable[None]:
        self.together.append(record)

        async def confirmed() -> None:
            self.tried += 1
            await asyncio.sleep(0)
            refused = any(len(each.value or b"") > self.most for each in self.together)
            await asyncio.sleep(0)
            self.together.clear()
            if refused:
                raise MessageSizeTooLargeError
            self.arrived.append(record)

        return confirmed()


def kept_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


async def test_what_no_broker_takes_is_told_and_kept_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    narrow, before = Narrow(most=2_000), metrics.TOO_LARGE.labels(INFERENCE.name)._value.get()
    events = [served("support", i) for i in range(6)]
    large = msgspec.structs.replace(events[3], output="x" * 3_000)
    records = [outgoing(INFERENCE, each, id=each.id, time_ms=0) for each in [*events[:3], large, *events[4:]]]
    with capture_logs() as said:
        await asyncio.wait_for(Insistent(narrow.send, 0.001, Aside(tmp_path / "aside")).confirm(records), 5)
    assert {each.key for each in narrow.arrived} == {each.id.encode() for each in [*events[:3], *events[4:]]}
    (path,) = kept_in(tmp_path / "aside")
    kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    assert (kept.topic, codec.decode(InferenceServed, kept.value)) == (INFERENCE.name, large)
    assert path.stat().st_mode & 0o077 == 0
    (line,) = [each for each in said if each["log_level"] == "error"]
    assert (line["topic"], line["path"]) == (INFERENCE.name, str(path))
    assert metrics.TOO_LARGE.labels(INFERENCE.name)._value.get() == before + 1


async def test_without_room_to_keep_it_aside_it_is_said_to_be_lost(tmp_path: Path) -> None:
    records = [outgoing(INFERENCE, served("support", i), id=str(i), time_ms=0) for i in range(3)]
    with capture_logs() as said:
        full = Aside(tmp_path, most_bytes=1_500)
        await asyncio.wait_for(Insistent(Narrow(most=10).send, 0.001, full).confirm(records), 5)
    assert len(kept_in(tmp_path)) == 1
    assert [each["event"].partition(":")[0] for each in said if each["log_level"] == "error"].count("record lost") == 2


def test_a_ledger_entry_is_plain_json_with_an_id_of_its_place() -> None:
    entry = decided()
    assert entry.inputs == {"state": {"7": [1, 2.5]}}
    assert entry.id == decided().id != decided(place="monitor.scores/0/8").id != decided("judge.update").id
    assert ledger.record(entry).topic == LEDGER


def test_the_first_of_an_id_wins() -> None:
    first, other = decided(), decided(place="x")
    again = msgspec.structs.replace(first, summary="a repetition")
    assert ledger.once([first, other, again]) == [first, other]


def test_an_exported_ledger_is_read_back(tmp_path: Path) -> None:
    entries = [decided(), decided(place="x")]
    assert ledger.export(entries, tmp_path / "deep/ledger.jsonl") == 2
    assert ledger.load(tmp_path / "deep/ledger.jsonl") == entries


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(codec.encode(decided()) + b"\n{}\n")
    with pytest.raises(codec.Undecodable, match=r"ledger\.jsonl:2: .*missing required field"):
        ledger.load(path)


def test_a_letter_keeps_the_bytes_and_the_place() -> None:
    letter = dlq.letter(INFERENCE, Raw(3, 9, 77, None, b"\xff{"), "x" * 5_000)
    assert dlq.value(letter) == b"\xff{"
    assert (letter.partition, letter.offset, letter.time_ms, len(letter.reason)) == (3, 9, 77, dlq.LONGEST_REASON)
    assert dlq.letter_id(letter) == dlq.letter_id(dlq.letter(INFERENCE, Raw(3, 9, 77, None, b""), "other"))


def test_a_letter_too_long_is_cut_and_says_so() -> None:
    letter = dlq.letter(INFERENCE, Raw(0, 0, 0, None, b"x" * (dlq.LONGEST + 1)), "too odd")
    assert len(dlq.value(letter)) == dlq.LONGEST
    assert letter.reason.endswith(dlq.CUT)


class Appended:
    def __init__(self) -> None:
        self.events: list[object] = []

    def append(self, topic: object, event: object, *, id: str, time_ms: int) -> int:
        self.events.append(event)
        return 0


def test_replay_puts_back_what_can_be_read_and_says_why_not() -> None:
    good, bad = raws([served("support", 1), b"{"])
    letters = [dlq.letter(INFERENCE, raw, "once unreadable") for raw in (good, bad)]
    unknown = DeadLetter(source_topic="x", partition=0, offset=0, reason="odd", value="", time_ms=0)
    appended = Appended()
    done, refused = dlq.replay(appended, [*letters, unknown])  # type: ignore[arg-type]
    assert (done, appended.events) == (1, [served("support", 1)])
    assert [each.split(": ")[0] for each in refused] == ["inference.events/0 offset 1", "x/0 offset 0"]


def test_every_source_has_a_queue_that_holds_its_largest_record() -> None:
    for source in (INFERENCE, FEEDBACK, SCORES, RESULTS):
        assert dlq.queue(source).max_bytes >= min(source.max_bytes, dlq.LONGEST) * 4 / 3
        assert dlq.queue(source) in TOPICS
    with pytest.raises(LookupError, match=r"serving\.routes"):
        dlq.queue(ROUTES)


def test_the_judges_sources_are_cut_alike() -> None:
    assert SCORES.partitions == RESULTS.partitions
    assert INFERENCE.partitions == FEEDBACK.partitions


def route(generation: int, paused: bool, alias: str = "support") -> RouteWritten:
    return RouteWritten(
        alias=alias, generation=generation, champion="c", adapters={}, time_ms=0, by="test", paused=paused
    )


def test_the_first_route_of_a_generation_says_whether_it_is_paused() -> None:
    pauses = PausedAliases(KafkaSettings())
    assert not pauses.paused("support")
    for each in (route(1, False), route(2, True), route(2, False), route(1, False)):
        pauses.take(Record(0, 0, 0, each))
    assert pauses.paused("support")
    pauses.take(Record(0, 1, 0, route(3, False)))
    assert not pauses.paused("support")


def test_who_has_nothing_to_do_is_not_stalled() -> None:
    dog, place = Watchdog(10), Place("inference.events", 0)
    assert dog.look([Measured(place, 5, 5)], 0) == []
    assert dog.look([Measured(place, 5, 5)], 100) == []
    assert dog.look([Measured(place, 9, 5)], 101) == []
    assert dog.look([Measured(place, 9, 5)], 110) == [Measured(place, 9, 5)]
    assert dog.look([], 200) == []


def test_lag_of_partitions_that_others_hold_is_no_longer_told() -> None:
    dog, mine, lost = Watchdog(10), Place("lag.test", 0), Place("lag.test", 1)
    dog.tell([Measured(mine, 9, 5), Measured(lost, 9, 2)], [Measured(lost, 9, 2)])
    assert _lags() == {"0": 4.0, "1": 7.0}
    assert metrics.STALLED.labels("lag.test")._value.get() == 1
    dog.tell([Measured(mine, 9, 6)], [])
    assert _lags() == {"0": 3.0}
    dog.tell([], [])
    assert _lags() == {}
    assert metrics.STALLED.labels("lag.test")._value.get() == 0


def _lags() -> dict[str, float]:
    samples = [sample for metric in metrics.LAG.collect() for sample in metric.samples]
    return {each.labels["partition"]: each.value for each in samples if each.labels["topic"] == "lag.test"}


def alarm(report: Path | None, id: str = "a") -> AlarmRaised:
    return AlarmRaised(
        id=id,
        alias="support",
        version="support-0123456789ab",
        kind="drift",  # type: ignore[arg-type]
        severity="info",  # type: ignore[arg-type]
        time_ms=10,
        first_event="",
        last_event="",
        onset_ms=5,
        evidence={},
        summary="",
        report=str(report) if report else None,
    )


async def test_reports_are_asked_for_once_and_only_so_many_wait(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "no-lake", 10)
    (tmp_path / "there.html").write_text("done")
    reporter.ask(alarm(None))
    reporter.ask(alarm(tmp_path / "there.html"))
    assert reporter.queue.empty()
    for _ in range(30):
        reporter.ask(alarm(tmp_path / "new.html"))
    assert reporter.queue.qsize() == 1
    for number in range(30):
        reporter.ask(alarm(tmp_path / f"{number}.html", str(number)))
    assert reporter.queue.full()


def test_the_operators_patterns_reach_the_worker(tmp_path: Path) -> None:
    settings = WorkerSettings(lake=tmp_path / "lake", metrics_port=None)
    monitor = MonitorSettings(policy_patterns={"acme": r"\bacme\b"})
    worker = build(KafkaSettings(), settings, monitor, PolicySettings())
    assert worker.ingests[0].source.describe.names[-1] == "output_policy_acme"
    assert worker.reporter.policy_patterns == monitor.policy_patterns


def test_brokers_are_told_to_faust_in_its_own_words() -> None:
    assert urls(KafkaSettings("a:1, b:2")) == ["kafka://a:1", "kafka://b:2"]
    assert credentials(KafkaSettings("a:1")) is None
    secret = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
    secret |= {"sasl_plain_username": "u", "sasl_plain_password": "p"}
    assert credentials(KafkaSettings("a:1", secret)).username == "u"
    with pytest.raises(ValueError, match="cannot use retries"):
        credentials(KafkaSettings("a:1", {"retries": 3}))
