"""Who stops something gets an answer, whatever the brokers leave unanswered; and all at once what can be done at once.

Not one of these tests waits for a clock: an act ends because nothing more comes, or it never ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer

from deploy.config.toml import dump
from deploy.stack.settings import cache_folder
from deploy.stack.topics import create_topics
from serving.rollout import operations
from streams.events import RouteWritten
from streams.log.append import Appender
from streams.log.patience import BrokersSilent, patient
from streams.log.read import follow, read
from streams.log.settings import HurriedKafka
from streams.topics import ROUTES
from tests.serving.support.fake_log import route
from tests.support.half_dead import API_VERSIONS, FETCH, LIST_OFFSETS, METADATA, PRODUCE, HalfDead, half_dead

# the command as a process that has time for the first question, and gives up later than any busy machine answers
PATIENT = """
import deploy.stack.broker, streams.log.patience
deploy.stack.broker.reached.__defaults__ = (60.0,)
streams.log.patience.patient.__defaults__ = (3.0,)
from deploy.cli import main
main()
"""
pytestmark = pytest.mark.kafka
EVERYTHING = frozenset(range(200))
# what such a broker still answers, and the first request that it swallows
BROKERS = {
    "nothing after the first question": (frozenset({API_VERSIONS}), METADATA),
    "metadata and nothing more": (frozenset({API_VERSIONS, METADATA}), LIST_OFFSETS),
    "no reads": (EVERYTHING - {FETCH}, FETCH),
    "no writes": (EVERYTHING - {PRODUCE}, PRODUCE),
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HalfDead]:
    with half_dead(tmp_path_factory.mktemp("half-dead"), cache_folder()) as broker:
        create_topics(broker.settings)
        appender = Appender(broker.settings, "test")
        appender.append(ROUTES, route(), id="1", time_ms=1)
        appender.close()
        yield broker


@pytest.fixture
def well(broker: HalfDead) -> Iterator[HalfDead]:
    """One that answers all until the test decides otherwise."""
    broker.swallowed.clear()
    yield broker
    broker.answers = None


@pytest.mark.parametrize("name", BROKERS)
def test_pause_answers_whatever_the_broker_leaves_unanswered(name: str, well: HalfDead, tmp_path: Path) -> None:
    """As a process, for what is left behind in it must not keep it."""
    well.answers, first = BROKERS[name]
    address, var = well.settings.bootstrap, str(tmp_path / "var")
    path = tmp_path / "homeostat.toml"
    path.write_text(dump({"stack": {"var": var, "embedded_kafka": False}, "kafka": {"bootstrap": address}}))
    command = [sys.executable, "-c", PATIENT, "pause", "--config", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, well.swallowed[:1]) == (1, [first]), done.stderr
    line, perhaps, known, next_ = done.stderr.splitlines()
    assert line.startswith(f"Error: Kafka at {address} answered, and then nothing more for ")
    assert perhaps == "Whether pause was written is not known: it holds once the log has it."
    assert known.startswith("The routes are not known here")
    assert next_.startswith("Next: give `homeostat pause` again once Kafka answers; ")


def test_each_quick_act_is_given_up(well: HalfDead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient, "__defaults__", (0.5,))
    well.answers = frozenset({API_VERSIONS, METADATA})
    kafka = well.settings
    for act in (operations.pause, operations.resume, operations.rollback):
        with pytest.raises(BrokersSilent):
            act(kafka, "support", "test")
    for everywhere in (operations.pause_all, operations.resume_all):
        with pytest.raises(BrokersSilent):
            everywhere(kafka, "test")


@pytest.mark.parametrize("name", [name for name in BROKERS if name != "no writes"])
def test_who_lists_something_is_told_that_the_broker_says_nothing(name: str, well: HalfDead) -> None:
    well.answers, first = BROKERS[name]
    hurried = HurriedKafka(well.settings.bootstrap, {"bootstrap_timeout_ms": 3_600_000}, quiet_s=0.5)
    with pytest.raises(OSError, match=r"then nothing more for 0\.5 s|: no records for 0\.5 s"):
        read(hurried, ROUTES, RouteWritten)
    assert well.swallowed[:1] == [first]


def test_a_hurried_reader_reads_what_others_read(well: HalfDead) -> None:
    found = read(HurriedKafka.of(well.settings, {}), ROUTES, RouteWritten)
    assert found == read(well.settings, ROUTES, RouteWritten)
    assert found


def test_a_reader_whose_broker_falls_silent_while_it_reads_gives_up(
    well: HalfDead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstream's `position` asked for ever."""
    asked = KafkaConsumer.position

    def position(*args: object, **more: object) -> object:
        well.answers = frozenset({API_VERSIONS, METADATA})
        return asked(*args, **more)

    monkeypatch.setattr(KafkaConsumer, "position", position)
    with pytest.raises(TimeoutError, match=r"serving\.routes/0: no offset for 0\.5 s"):
        list(follow(well.settings, ROUTES, RouteWritten, stop=lambda: False, until_end=True, wait_s=0.5))
