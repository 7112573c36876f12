"""The real parts, started once a process: Kafka (one JVM) and vLLM with the demo's base model. `make test` shares the
tests out among processes, a file at a time; those that need vLLM's memory are all one process's."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import settings
from xdist.remote import Producer

from streams.log.settings import KafkaSettings
from tests.support.azure import azure, azure_server
from tests.support.s3 import s3, s3_server
from tests.support.sharing_out import FileScheduling, check_large

__all__ = ["azure", "azure_server", "s3", "s3_server"]  # fixtures

STAGES = ("slow", "kafka", "vllm", "loop")  # after the quick tests, in this order
# Who asks for the fixture carries the marker.
FIXTURES = {"kafka": "kafka", "engine": "vllm", "model_dir": "slow", "s3": "slow"}
TIMEOUT_S = {
    "slow": 300,
    "kafka": 600,
    "vllm": 1200,
    "loop": 2400,
}  # the first waits for the real part too

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")

BEFORE_THE_LOOP: list[Callable[[], object]] = []  # what must make room for it


@dataclass(frozen=True, slots=True)
class Engine:
    """A running vLLM: its address, the base model's folder and id."""

    url: str
    model_dir: Path
    base_model_id: str


def pytest_itemcollected(item: pytest.Item) -> None:
    """Set a test's markers and its time limit."""
    for fixture, marker in FIXTURES.items():
        if fixture in getattr(item, "fixturenames", ()) and not item.get_closest_marker(marker):
            item.add_marker(marker)
    stage = _stage(item)
    if stage and not item.get_closest_marker("timeout"):
        item.add_marker(pytest.mark.timeout(TIMEOUT_S[STAGES[stage - 1]]))
    if item.get_closest_marker("vllm") or item.get_closest_marker("loop"):
        check_large(item.location[0])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put quick tests first; in one of several processes they come last, and fill what time the long ones leave."""
    items.sort(key=_stage, reverse=hasattr(config, "workerinput"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling | None:
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_configure() -> None:
    gc.disable()  # until everything is imported


def pytest_collection_finish() -> None:
    """Leave what was imported out of the collector's rounds: a tenth of the quick tests' time."""
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("loop"):
        while BEFORE_THE_LOOP:
            BEFORE_THE_LOOP.pop()()


def _stage(item: pytest.Item) -> int:
    return max((i for i, marker in enumerate(STAGES, 1) if item.get_closest_marker(marker)), default=0)


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaSettings]:
    """A broker of this session's own, with every topic of the table. Tests share it: use names of your own."""
    from deploy.stack import ports
    from deploy.stack.kafka import EmbeddedKafka
    from deploy.stack.settings import cache_folder
    from deploy.stack.topics import create_topics

    with tempfile.TemporaryDirectory(prefix="homeostat-kafka-", ignore_cleanup_errors=True) as folder:
        broker = EmbeddedKafka(Path(folder), ports.free(1)[0], cache_folder())
        broker.start()
        try:
            create_topics(broker.settings)
            yield broker.settings
        finally:
            broker.stop()


@pytest.fixture
def empty_kafka(kafka: KafkaSettings) -> KafkaSettings:
    """The session's broker with topics of this test's own: for what looks at all that others wrote, such as routes."""
    from deploy.stack.topics import create_topics

    own = replace(kafka, prefix=f"{uuid4().hex[:8]}.")
    create_topics(own)
    return own


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One vLLM over the demo's base model with LoRA; loading takes about a minute. Adapters' names are shared:
    load your own and unload them again."""
    from deploy.stack import engine as vllm
    from deploy.stack import ports, processes
    from deploy.stack.lifecycle import model_folder
    from deploy.stack.settings import StackSettings
    from retrain.base_model import base_model_id
    from retrain.training.prompting import chat_template_for

    var = tmp_path_factory.mktemp("engine")
    settings = StackSettings(engine_ports=(ports.free(1)[0],))
    model = model_folder(settings)
    replica = vllm.EngineProcess(model, settings.engine_ports[0], vllm.device(), settings, chat_template_for(model))
    spec = processes.Spec("engine", replica.command(), replica.healthy, 600, replica.environment())
    child = processes.start(spec, var)
    BEFORE_THE_LOOP.append(lambda: processes.stop(child, var))
    try:
        processes.wait_ready(spec, child, var)
        vllm.warm_up(replica.port)
        yield Engine(f"http://127.0.0.1:{replica.port}", model, base_model_id(model))
    finally:
        processes.stop(child, var)
