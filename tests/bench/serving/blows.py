"""What a `kill -9` under load did to clients."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.serving.support.stack import Place
from tests.serving.support.traffic import Attempt, Traffic
from tests.support.waiting import wait

NOTICED_S = 0.25  # a client may send over a dead connection until it hears of it


@dataclass(frozen=True, slots=True)
class Blow:
    """When something was killed, and when a client got an answer again; of `time.monotonic`."""

    at_s: float
    back_s: float

    def explains(self, attempt: Attempt) -> bool:
        """Whether the request was under way when the process died, and broke with its connection."""
        under_way = attempt.began_s < self.at_s + NOTICED_S and attempt.ended_s >= self.at_s
        return under_way and attempt.answer is None and not attempt.broken.startswith("TimeoutError")


def unexplained(failed: Iterable[Attempt], blows: Sequence[Blow]) -> list[Attempt]:
    """Failures that no blow explains."""
    return [each for each in failed if not any(blow.explains(each) for blow in blows)]


def strike(place: Place, traffic: Traffic, name: str, rng: random.Random, *, whole: bool = False) -> Blow:
    """At a random moment; starts the process again at once, and returns when a client has been answered since."""
    time.sleep(rng.uniform(0.2, 1.5))
    at_s = place.kill(name, whole=whole)
    count = len(traffic.attempts)
    place.start(name)
    wait(lambda: any(each.began_s > at_s and not each.failed for each in traffic.since(count)), "an answer", 60)
    back = next(each for each in traffic.since(count) if each.began_s > at_s and not each.failed)
    return Blow(at_s, back.ended_s)


def first(attempts: Sequence[Attempt]) -> str:
    """The first of them in words; nothing where there are none."""
    return f"; the first: {attempts[0].told()[:160]}" if attempts else ""
