"""How many replies a second a worker takes from Kafka to scores, profile, lake and the judge's confirmed state."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.streams.place import Place, Worker, consumed, cpu_s, until, until_drained
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note

EVENTS, QUICK = 200_000, 40_000
LONG = 2  # times as many for the rate itself: the last ones wait two or three seconds for their turn, however many
GOAL, GOAL_RATIO = 8_000, 1.6


@dataclass(frozen=True, slots=True)
class Run:
    """What some workers did between two moments."""

    events: float
    seconds: float
    cpu_s: float
    broker_cpu_s: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_us(self) -> float:
        """Of the workers, for one event."""
        return self.cpu_s / self.events * 1e6

    @property
    def note(self) -> str:
        return (
            f"{self.cpu_us:.0f} us of CPU an event, the broker {self.broker_cpu_s / self.events * 1e6:.0f}; "
            f"workers had {self.cpu_s / self.seconds:.2f} cores, load {os.getloadavg()[0]:.1f}"
        )


def throughput(place: Place, quick: bool) -> list[Figure]:
    """One worker works off a backlog."""
    run = worked_off(place, ["one"], QUICK if quick else LONG * EVENTS)
    return [
        Figure("one worker, Kafka to judge's state", run.rate, "events/s", GOAL, "higher", note=run.note),
        Figure("one worker, CPU", run.cpu_us, "us/event", 1e6 / GOAL, "lower"),
    ]


def workers(place: Place, quick: bool) -> list[Figure]:
    """The same with one and then two workers of the group."""
    events = QUICK if quick else EVENTS
    alone = worked_off(place, ["one"], events)
    both = worked_off(place, ["one", "two"], 2 * events)
    ratio = both.rate / alone.rate
    return [
        Figure("two workers, Kafka to judge's state", both.rate, "events/s", note=both.note),
        Figure("two workers over one", ratio, "x", GOAL_RATIO, "higher", note=f"one: {alone.note}"),
    ]


def worked_off(place: Place, names: Sequence[str], events: int) -> Run:
    """From when all workers are at work until nothing waits."""
    place.pour(events)
    with place.worker(*names) as some:
        for each in some:
            each.start()
        began = until(lambda: all(consumed([each]) > 0 for each in some))
        before, cpu, broker = consumed(some), _cpu(some), cpu_s(place.broker)
        done = until_drained(some)
        run = Run(consumed(some) - before, done - began, _cpu(some) - cpu, cpu_s(place.broker) - broker)
    note(f"{', '.join(names)}: {run.rate:,.0f} events/s, {run.note}")
    return run


def _cpu(workers: Sequence[Worker]) -> float:
    return sum(each.cpu_s() for each in workers)
