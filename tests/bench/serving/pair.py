"""Two real vLLM replicas with their reconcilers, a gateway and a broker; every adapter answers in words of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrain.adapters import Adapter
from streams.events import ReplicaAttested
from streams.log.read import read
from streams.topics import ATTESTATIONS
from tests.bench.serving.answers import QUESTIONS, Texts, asked, texts
from tests.bench.tools.progress import note
from tests.serving.support.log_records import ALIAS, Records
from tests.serving.support.stack import Place
from tests.support import tiny_model as tiny
from tests.support.waiting import wait

ADAPTERS = 6
ENGINES = ("engine-0", "engine-1")
STACK: Mapping[str, object] = {
    "device": "cpu",
    "max_model_len": 256,
    "max_loras": ADAPTERS,  # so that none has to wait until another is unloaded
    "max_lora_rank": tiny.RANK,
    "max_num_seqs": 8,
    "kv_cache_gb": 0.1,
    "cpu_share": 1.0,  # nothing is trained here: each replica has a core of its own
}
CONTROLLER = {"drain_s": 0.5}  # a version that was replaced is unloaded so soon: to be wanted again, it must be loaded


@dataclass(frozen=True, slots=True)
class Pair:
    """`expected`: what every version answers, as the engines themselves said."""

    place: Place
    adapters: Sequence[Adapter]
    expected: Texts

    def requests(self) -> list[bytes]:
        """The questions that tell the adapters apart, as clients ask them."""
        return [asked(QUESTIONS[i], ALIAS, self.place.key) for i in self.telling]

    @property
    def telling(self) -> list[int]:
        return sorted(next(iter(self.expected.values())))


@contextmanager
def pair(folder: Path) -> Iterator[Pair]:
    """Both replicas attest the first adapter, and the gateway is ready."""
    model = tiny.model(folder / "model")
    made = [tiny.adapter(seed, model, folder, ALIAS, folder / "new") for seed in range(ADAPTERS)]
    place = Place(folder, {"stack": {**STACK, "model": str(model)}, "controller": CONTROLLER}, engines=len(ENGINES))
    place.records = Records(place.config, {each.version: each.digest for each in made})
    note("Kafka and two vLLM replicas start")
    with place.running("kafka", *ENGINES):
        note("what every adapter answers, asked of both replicas")
        expected = asyncio.run(texts(place.config.stack.engine_ports, made))
        place.start("controller", "gateway")
        place.records.route(made[0].version)
        wait(lambda: all(attests(place, name, made[0].version) for name in ENGINES), "both replicas attest", 60)
        wait(place.ready, "the gateway is ready")
        yield Pair(place, made, expected)


def attests(place: Place, replica: str, version: str, since_ms: int = 0) -> bool:
    """Whether the replica's latest word is that it serves the version, and was said since then."""
    said = [r.event for r in read(place.config.kafka, ATTESTATIONS, ReplicaAttested) if r.event.replica == replica]
    return bool(said) and said[-1].time_ms >= since_ms and said[-1].healthy and version in said[-1].versions
