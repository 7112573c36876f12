"""One retraining twice: by a process of this machine, and as a Job of a cluster whose pods are killed while they
prepare, train and evaluate. The pod after each has nothing but the bucket. The trainer goes, too, and another takes the
Job over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from retrain.handover import CHECKPOINT, Handover
from retrain.job_files import SPEC, JobOutcome, JobSpec
from retrain.runners.local import LocalRunner
from retrain.runners.outcome import outcome
from streams.objects.settings import StorageSettings
from tests.retrain.support.cluster import Cluster
from tests.retrain.support.engine import Engine
from tests.retrain.support.orders import recipe_file
from tests.retrain.test_retraining import ONSET, World, served
from tests.support.waiting import wait

STEPS, MOST_S = 200, 1_800  # steps enough for a kill in their midst: each takes milliseconds
KILLS = 3


class StrikingEngine(Engine):
    """Strikes once, at the first question after it was given a blow."""

    blow: Callable[[], None] | None = None

    async def chat(self, request: web.Request) -> web.Response:
        blow, self.blow = self.blow, None
        if blow is not None:
            blow()
        return await super().chat(request)


@dataclass(frozen=True, slots=True)
class Twice:
    """What each came to, and how many pods the Job had."""

    here: JobOutcome
    there: JobOutcome
    pods: int

    def same_verdict(self) -> bool:
        """Check that both have the same; none is not the same."""
        verdicts = [each.verdict and each.verdict.status for each in (self.here, self.there)]
        return None not in verdicts and verdicts[0] == verdicts[1]

    def same_adapter(self) -> bool:
        """Check that both made the same bytes."""
        return bool(self.here.digest) and self.here.digest == self.there.digest


def twice(cluster: Cluster, storages: tuple[StorageSettings, StorageSettings], model_dir: Path, folder: Path) -> Twice:
    """Retrain the same champion both ways. `storages`: where each keeps everything."""
    from tests.retrain.support.kubelet import Kubelet, running

    one, two = (_world(folder / f"{number}", model_dir, each) for number, each in enumerate(storages))
    assert one.champion.digest == two.champion.digest
    engine = StrikingEngine(one.champion.digest)
    with engine.apart(75.0) as url:
        here = _finished(LocalRunner(one.var), one.spec(url), one.var / "jobs" / "r1")
        with running(Kubelet(cluster.api())) as kubelet:
            cluster.runner("trainer/one").start(two.spec(url))
            bucket = Handover.of(two.spec(url), folder / "seen" / "r1")
            _struck(cluster.folder / "jobs" / "r1", bucket, engine, lambda: next(iter(kubelet.pods.values())).kill())
            runner = cluster.runner("trainer/two")
            runner.start(two.spec(url))
            wait(lambda: not runner.poll("r1").running, "the Job's end", MOST_S)
        there = outcome(Handover.of(two.spec(url), folder / "trainer" / "r1"), runner.poll("r1"))
    return Twice(here, there, kubelet.starts)


def _struck(folder: Path, bucket: Handover, engine: StrikingEngine, kill: Callable[[], None]) -> None:
    """Kill the pod once it has begun, the next one once a checkpoint has left it, and leave the third to the engine."""
    wait((folder / SPEC).exists, "the first pod", MOST_S)
    kill()
    wait(lambda: _taken(bucket), "a checkpoint in the bucket", MOST_S)
    engine.blow = kill
    kill()


def _taken(bucket: Handover) -> bool:
    bucket.take([CHECKPOINT])
    return (bucket.folder / CHECKPOINT).exists()


def _world(folder: Path, model_dir: Path, storage: StorageSettings) -> World:
    """A champion that is to be retrained, with a checkpoint every five steps."""
    recipe = recipe_file(folder, min_steps=STEPS, max_steps=STEPS, checkpoint_steps=5, max_length=128)
    world = World(folder, model_dir, recipe, storage)
    world.labelled([served(number) for number in range(1, ONSET + 80)])
    return world


def _finished(runner: LocalRunner, given: JobSpec, folder: Path) -> JobOutcome:
    folder.mkdir(parents=True, exist_ok=True)
    runner.start(given)
    wait(lambda: not runner.poll("r1").running, "the local job's end", MOST_S)
    return outcome(Handover.of(given, folder), runner.poll("r1"))
