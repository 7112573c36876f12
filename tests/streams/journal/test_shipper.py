"""Everything journaled reaches the broker, in order, whoever is killed; the hopeless is counted and holds nobody up."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from kafka import errors as kafka_errors
from structlog.testing import capture_logs

from streams.events import FeedbackGiven
from streams.journal import cursor, metrics, status
from streams.journal.cursor import Cursor, CursorFile, moved
from streams.journal.reader import waiting_bytes
from streams.journal.segments import SHIPPER, JournalPosition, locked
from streams.journal.shipper import PLENTY_BYTES, Shipper, ShipperSettings
from streams.journal.writer import Journal, JournalSettings
from streams.log.read import read
from streams.log.rejects import RejectedRecord
from streams.log.settings import KafkaSettings
from streams.topics import FEEDBACK
from tests.streams.support.journaled import Broker, event, journal, numbers, publish, running, segments, waiting
from tests.support.waiting import wait

ROOT = Path(__file__).parents[3]
NOWHERE = KafkaSettings("127.0.0.1:9")
QUICK = ShipperSettings(batch_records=10, linger_s=0.0)
WRITER = """
import sys, time
from pathlib import Path
from tests.streams.support.journaled import journal, publish
ours = journal(Path(sys.argv[1]), segment_bytes=50_000)
for number in range(1_000_000):
    assert publish(ours, [f"{sys.argv[2]}{number}"]) == [True]
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
    time.sleep(0.0005)
"""
SHIP = """
import sys, threading
from pathlib import Path
from streams.log.settings import KafkaSettings
from streams.journal.shipper import Shipper, ShipperSettings
settings = ShipperSettings(batch_records=100, linger_s=0.0)
Shipper(KafkaSettings(sys.argv[1]), Path(sys.argv[2]), "test", settings).run(threading.Event())
"""


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    monkeypatch.setattr("streams.journal.delivery.RETRY_S", (0.01, 0.02))
    monkeypatch.setattr("streams.journal.shipper.TROUBLE_S", 0.01)
    return Broker()


def written(folder: Path, ids: Iterable[object]) -> None:
    """By a gateway that has ended since."""
    ours = journal(folder)
    publish(ours, ids)
    ours.close()


def shipper(folder: Path, broker: Broker) -> Shipper:
    return Shipper(NOWHERE, folder, "test", QUICK, make=broker.producer)


def full(*_: object) -> None:
    raise OSError("No space left on device")


def ship(folder: Path, broker: Broker) -> None:
    """Everything that waits."""
    ours = shipper(folder, broker)
    with running(ours):
        wait(ours.drained)


def test_events_arrive_in_order_and_their_files_go(tmp_path: Path, broker: Broker) -> None:
    ours = journal(tmp_path, segment_bytes=1_000)
    publish(ours, range(40))
    shipping = shipper(tmp_path, broker)
    with running(shipping):
        wait(shipping.drained)
        publish(ours, range(40, 50))
        wait(shipping.drained)
        wait(lambda: len(segments(tmp_path)) <= 1)  # the one that is written to
        ours.close()
        wait(lambda: not segments(tmp_path))
    assert broker.ids == numbers(50)
    assert cursor.read(tmp_path).published == {FEEDBACK.name: 50}


def test_it_gathers_for_a_while_unless_hurried(tmp_path: Path, broker: Broker) -> None:
    ours = journal(tmp_path)
    settings = ShipperSettings(batch_records=10, linger_s=3_600.0)
    shipping = Shipper(NOWHERE, tmp_path, "test", settings, make=broker.producer)
    publish(ours, range(3))
    with running(shipping):
        wait(shipping.drained)  # the first ones go at once
        publish(ours, range(3, 6))
        time.sleep(0.1)
        assert broker.ids == numbers(3)
        shipping.hurry()
        wait(shipping.drained)
    assert broker.ids == numbers(6)
    ours.close()


def test_a_backlog_is_shipped_without_waiting_for_more(tmp_path: Path, broker: Broker) -> None:
    """Whatever bounds a batch: records, bytes or the end of a segment."""
    large = JournalSettings(segment_bytes=1_500_000)
    ours = Journal(tmp_path, large, "gateway/test")
    for number in range(600):
        assert ours.publish(FEEDBACK, event(str(number), "x" * 10_000), str(number), 1)
    settings = ShipperSettings(linger_s=3_600.0)
    shipping = Shipper(NOWHERE, tmp_path, "test", settings, make=broker.producer)
    with running(shipping):
        wait(lambda: waiting_bytes(tmp_path) < PLENTY_BYTES)
        shipping.hurry()
        wait(shipping.drained)
    assert broker.ids == numbers(600)
    ours.close()


def test_a_broker_that_goes_and_comes_back_gets_everything_once_and_in_order(tmp_path: Path, broker: Broker) -> None:
    ours, shipping = journal(tmp_path), shipper(tmp_path, broker)
    with running(shipping):
        publish(ours, range(5))
        wait(shipping.drained)
        tries, broker.away = broker.sent, True
        publish(ours, range(5, 30))
        wait(lambda: broker.sent > tries)  # once: after that no producer can be made
        assert not shipping.drained()
        assert cursor.read(tmp_path).published == {FEEDBACK.name: 5}
        publish(ours, range(30, 40))
        broker.away = False
        wait(shipping.drained)
    assert broker.ids == numbers(40)
    ours.close()


def test_only_what_failed_is_sent_again(tmp_path: Path, broker: Broker) -> None:
    failures = iter([kafka_errors.KafkaTimeoutError()])
    broker.refuses = lambda id: next(failures, None) if id == "1" else None
    written(tmp_path, range(3))
    ship(tmp_path, broker)
    assert sorted(broker.ids) == numbers(3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [(kafka_errors.MessageSizeTooLargeError(), "too_large"), (kafka_errors.InvalidRecordError(), "refused")],
)
def test_what_is_hopeless_is_counted_and_holds_nobody_up(
    tmp_path: Path, broker: Broker, error: Exception, reason: str
) -> None:
    broker.refuses = lambda id: error if id in ("3", "7", "21") else None
    written(tmp_path, range(30))
    with capture_logs() as logs:
        ship(tmp_path, broker)
    assert broker.ids == [id for id in numbers(30) if id not in ("3", "7", "21")]
    done = cursor.read(tmp_path)
    assert (done.published, done.dropped) == ({FEEDBACK.name: 27}, {FEEDBACK.name: {reason: 3}})
    kept = [each for each in logs if each["event"].startswith("record kept aside")]
    assert [each["topic"] for each in kept] == [FEEDBACK.name] * 3
    assert {Path(each["path"]).parent for each in kept} == {tmp_path / "aside"}
    found = [msgspec.json.decode(Path(each["path"]).read_bytes(), type=RejectedRecord) for each in kept]
    assert len({each.value for each in found}) == 3


def test_the_next_shipper_goes_on_where_the_last_one_was_confirmed(tmp_path: Path, broker: Broker) -> None:
    ours = journal(tmp_path, segment_bytes=1_000)
    for first in (0, 20):
        publish(ours, range(first, first + 20))
        ship(tmp_path, broker)
    assert broker.ids == numbers(40)
    assert cursor.read(tmp_path).published == {FEEDBACK.name: 40}
    ours.close()


def test_what_was_not_confirmed_when_it_was_stopped_is_sent_by_the_next(tmp_path: Path, broker: Broker) -> None:
    broker.refuses = lambda id: kafka_errors.KafkaTimeoutError() if id == "15" else None
    written(tmp_path, range(30))
    with running(shipper(tmp_path, broker)):
        wait(lambda: "19" in broker.ids)
    assert sorted(set(numbers(30)) - set(broker.ids)) == ["15", *numbers(10, first=20)]
    broker.refuses = lambda id: None
    ship(tmp_path, broker)
    assert Counter(broker.ids) == Counter([*numbers(30), *numbers(4, first=16)])  # after the one that hung


def test_a_segment_that_is_gone_is_passed_over(tmp_path: Path, broker: Broker) -> None:
    for first in (0, 10):
        written(tmp_path, range(first, first + 10))
    lost, _ = segments(tmp_path)
    file = CursorFile(tmp_path)
    file.write(Cursor(segment=1, offset=lost.stat().st_size // 2))
    file.close()
    lost.unlink()
    ship(tmp_path, broker)
    assert broker.ids == numbers(10, first=10)


def test_without_its_cursor_everything_still_there_is_sent_again(tmp_path: Path, broker: Broker) -> None:
    ours = journal(tmp_path)
    publish(ours, range(20))
    ship(tmp_path, broker)
    (tmp_path / "cursor").write_bytes(b"torn by a power cut")
    ship(tmp_path, broker)
    assert broker.ids == numbers(20) * 2
    ours.close()


def test_a_damaged_event_costs_the_rest_of_its_segment_which_is_counted(tmp_path: Path, broker: Broker) -> None:
    ours = journal(tmp_path, segment_bytes=2_000)
    publish(ours, range(30))
    first, second, *_ = segments(tmp_path)
    there = len(waiting(tmp_path))
    data = bytearray(second.read_bytes())
    data[len(data) // 2] ^= 1
    second.write_bytes(bytes(data))
    intact = waiting(tmp_path)
    with capture_logs() as logs:
        ship(tmp_path, broker)
    assert len(broker.ids) == len(intact) < there
    assert broker.ids[-1] == "29"
    (told,) = [each for each in logs if "damaged" in each["event"]]
    assert cursor.read(tmp_path).damaged_bytes == told["bytes"] > 0
    assert not first.exists()
    ours.close()


def test_a_torn_end_waits_for_its_writer_and_goes_with_it(tmp_path: Path, broker: Broker) -> None:
    ours, shipping = journal(tmp_path), shipper(tmp_path, broker)
    publish(ours, range(3))
    (path,) = segments(tmp_path)
    with path.open("ab") as file, running(shipping):
        file.write(path.read_bytes()[:50])  # as if the writer were in the midst of it
        file.flush()
        wait(lambda: waiting_bytes(tmp_path) == 50)
        ours.close()
        wait(shipping.drained)
    assert broker.ids == numbers(3)
    assert cursor.read(tmp_path).damaged_bytes == 0


def test_a_second_shipper_waits_for_the_first(tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.journal.shipper.LOCK_S", 0.01)
    written(tmp_path, range(3))
    first = locked(tmp_path, SHIPPER)
    assert first is not None
    second = shipper(tmp_path, broker)
    with running(second):
        time.sleep(0.03)
        assert broker.sent == 0
        first.close()
        wait(second.drained)
    assert broker.ids == numbers(3)


def test_a_shipper_that_waits_for_another_can_be_stopped(tmp_path: Path, broker: Broker) -> None:
    held = locked(tmp_path, SHIPPER)
    assert held is not None
    with running(shipper(tmp_path, broker)):
        pass
    held.close()


def test_a_full_disk_neither_stops_nor_repeats_anything(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, shipping = journal(tmp_path, segment_bytes=1_000), shipper(tmp_path, broker)

    with capture_logs() as logs, running(shipping):
        wait(lambda: (tmp_path / "status.json").exists())
        monkeypatch.setattr("streams.journal.shipper.REPORT_S", 0.0)
        monkeypatch.setattr(CursorFile, "write", full)
        monkeypatch.setattr(status, "write", full)
        publish(ours, range(40))
        wait(lambda: len(broker.ids) == 40)
        wait(lambda: len(segments(tmp_path)) == 1)
        monkeypatch.undo()
        publish(ours, [40])
        wait(shipping.drained)
    assert broker.ids == numbers(41)
    assert {each["event"] for each in logs} == {"cursor cannot be written", "status cannot be written"}
    ours.close()


def test_without_room_for_a_cursor_nothing_is_sent(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, range(3))
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        shipper(tmp_path, broker).run(threading.Event())
    assert broker.sent == 0


def test_a_disk_that_cannot_be_read_is_tried_again(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, range(25))
    reads = iter([OSError("Input/output error")])

    def pread(*asked: int, real: object = os.pread) -> bytes:
        if (error := next(reads, None)) is not None:
            raise error
        assert callable(real)
        return bytes(real(*asked))

    monkeypatch.setattr(os, "pread", pread)
    ship(tmp_path, broker)
    assert broker.ids == numbers(25)


def test_the_status_file_tells_of_trouble_and_of_its_end(
    tmp_path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.journal.shipper.REPORT_S", 0.0)
    assert status.read(tmp_path) is None
    broker.away = True
    ours, shipping = journal(tmp_path), shipper(tmp_path, broker)
    publish(ours, range(3))

    def told(connected: bool, lag_bytes: int) -> bool:
        found = status.read(tmp_path)
        return found is not None and (found.connected, found.lag_bytes) == (connected, lag_bytes)

    with running(shipping):
        wait(lambda: told(False, ours.size_bytes))
        wait(lambda: "KafkaTimeoutError" in getattr(status.read(tmp_path), "error", ""))
        broker.away = False
        wait(lambda: told(True, 0))
    last = status.read(tmp_path)
    assert last is not None
    assert (last.published, last.error) == ({FEEDBACK.name: 3}, "")
    ours.close()


def value(counter: object, *labels: str) -> float:
    return float(counter.labels(*labels)._value.get() if labels else counter._value.get())  # type: ignore[attr-defined]


def test_counters_go_on_when_shippers_restart_and_never_go_back(tmp_path: Path) -> None:
    topic, file, shown = "metrics.test", CursorFile(tmp_path), metrics.ShipperMetrics(tmp_path)
    damaged = value(metrics.DAMAGED)
    shown.show()
    file.write(first := moved(Cursor(), JournalPosition(1, 10), {topic: 5}, {(topic, "too_large"): 1}, 100))
    shown.show()
    shown.show()
    assert (value(metrics.PUBLISHED, topic), value(metrics.DROPPED, topic, "too_large")) == (5, 1)
    file.write(moved(first, JournalPosition(2, 0), {topic: 2}))
    shown.show()
    assert value(metrics.PUBLISHED, topic) == 7
    assert value(metrics.DAMAGED) - damaged == 100
    whole = (tmp_path / "cursor").read_bytes()
    (tmp_path / "cursor").write_bytes(whole[:20])  # read while it is being written
    shown.show()
    (tmp_path / "cursor").write_bytes(whole)
    shown.show()
    assert value(metrics.PUBLISHED, topic) == 7
    file.write(moved(Cursor(), JournalPosition(1, 10), {topic: 1}))  # a power cut took the old one
    shown.show()
    assert value(metrics.PUBLISHED, topic) == 7
    file.write(moved(Cursor(), JournalPosition(1, 20), {topic: 3}))
    shown.show()
    assert value(metrics.PUBLISHED, topic) == 9
    file.close()


def test_what_waits_is_shown(tmp_path: Path) -> None:
    shown = metrics.ShipperMetrics(tmp_path / "not there yet")
    shown.show()
    assert value(metrics.SPOOL_BYTES) == 0
    ours = journal(tmp_path)
    publish(ours, range(3))
    metrics.ShipperMetrics(tmp_path).show()
    assert value(metrics.SPOOL_BYTES) == ours.size_bytes > 0
    ours.close()


def arrived(kafka: KafkaSettings, prefix: str) -> list[str]:
    return [r.event.id for r in read(kafka, FEEDBACK, FeedbackGiven) if r.event.id.startswith(prefix)]


def test_a_real_broker_gets_everything_but_what_is_too_large(tmp_path: Path, kafka: KafkaSettings) -> None:
    ours = journal(tmp_path)
    noise = random.Random(0).randbytes(1_500_000).hex()
    publish(ours, [f"real-{i}" for i in range(200)])
    assert ours.publish(FEEDBACK, event("real-vast", noise), "real-vast", 1)
    publish(ours, [f"real-{i}" for i in range(200, 400)])
    shipping = Shipper(kafka, tmp_path, "test")
    with running(shipping):
        wait(shipping.drained)
    assert arrived(kafka, "real-") == [f"real-{i}" for i in range(400)]  # one key: one partition: in order
    done = cursor.read(tmp_path)
    assert (done.published, done.dropped) == ({FEEDBACK.name: 400}, {FEEDBACK.name: {"too_large": 1}})
    ours.close()


def process(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_kills_of_writer_and_shipper_lose_nothing_and_repeat_only_what_no_cursor_covered(
    tmp_path: Path, kafka: KafkaSettings
) -> None:
    writer = process(WRITER, tmp_path, "kill-")
    covered = []
    for _ in range(4):
        ships = process(SHIP, kafka.bootstrap, tmp_path)
        before = cursor.read(tmp_path).position
        wait(lambda before=before: cursor.read(tmp_path).position > before)  # type: ignore[misc]
        time.sleep(0.05)
        ships.kill()
        ships.wait()
        covered.append(sum(cursor.read(tmp_path).published.values()))
    writer.kill()
    assert writer.stdout is not None
    told = len(writer.stdout.read().split())
    writer.wait()
    last = Shipper(kafka, tmp_path, "test")
    with running(last):
        wait(last.drained)
    found = Counter(arrived(kafka, "kill-"))
    assert set(found) == {f"kill-{i}" for i in range(len(found))}
    assert len(found) >= told > 0
    assert covered == sorted(covered)
    assert covered[-1] > 0
    # a kill may repeat what was under way: one round of a hundred at most, right after what its cursor covered
    repeated = {int(id.removeprefix("kill-")) for id, times in found.items() if times > 1}
    assert repeated <= {i for first in covered for i in range(first, first + 100)}
    assert sum(cursor.read(tmp_path).published.values()) == len(found)


@pytest.mark.kafka
def test_a_real_broker_that_goes_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.stack import ports
    from deploy.stack.kafka import EmbeddedKafka
    from deploy.stack.settings import cache_folder
    from deploy.stack.topics import create_topics

    monkeypatch.setattr("streams.journal.delivery.RETRY_S", (0.1, 0.5))
    broker = EmbeddedKafka(tmp_path / "kafka", ports.free(1)[0], cache_folder())
    ours = journal(tmp_path / "journal")
    shipping = Shipper(broker.settings, tmp_path / "journal", "test")
    publish(ours, range(100))
    with running(shipping):  # the broker is away at first
        wait(lambda: "Error" in getattr(status.read(tmp_path / "journal"), "error", ""))
        broker.start()
        try:
            create_topics(broker.settings)
            wait(shipping.drained)
            broker.stop()
            publish(ours, range(100, 200))
            wait(lambda: not getattr(status.read(tmp_path / "journal"), "connected", True))
            broker.start()
            publish(ours, range(200, 300))
            wait(shipping.drained)
            assert arrived(broker.settings, "") == numbers(300)
        finally:
            broker.stop()
    ours.close()
