"""What it costs to judge labels in the worker, by the share of them that the gateway could not judge."""

from __future__ import annotations

from collections.abc import Sequence

from streams.events import FeedbackGiven
from streams.topics import FEEDBACK
from tests.bench.streams.events import event
from tests.bench.streams.place import Place, Worker, until, until_drained
from tests.bench.tools.figures import Figure
from tests.streams.support.traffic import feedback, produce

LABELS, QUICK = 10_000, 2_000
SHARES = (0.0, 0.1, 1.0)
FIRST = 1_000  # before anything is measured: libraries load then
TAKEN = f'homeostat_events_consumed_total{{topic="{FEEDBACK.name}"}}'
GOAL_US = 1_000  # of CPU for each label that is judged here


def late(place: Place, quick: bool) -> list[Figure]:
    """Labels of replies that are in the lake: their rows, and where they came unjudged their judgements' too."""
    count = QUICK if quick else LABELS
    first, figures, base = place.poured, list[Figure](), 0.0
    place.pour(FIRST + len(SHARES) * count)
    with place.worker("late") as (worker,):
        worker.start()
        until_drained([worker])
        _judged(place, worker, range(first, first + FIRST), 0.5)
        for number, share in enumerate(SHARES):
            begin = first + FIRST + number * count
            numbers = range(begin, begin + count)
            cpu_us, rate = _judged(place, worker, numbers, share)
            base = base or cpu_us
            note = f"{rate:,.0f} labels/s; {(cpu_us - base) / share:.0f} us for each unjudged one" if share else ""
            figures.append(Figure(f"a label, {share:.0%} unjudged, CPU", cpu_us, "us", note=note))
    extra = (figures[-1].value - base) / SHARES[-1]
    return [*figures, Figure("to judge a label in the worker, CPU", extra, "us", GOAL_US, "lower")]


def _judged(place: Place, worker: Worker, numbers: Sequence[int], share: float) -> tuple[float, float]:
    """CPU for a label in microseconds, and labels a second, until all are judged."""
    labels = [_label(number, judged=i % 10 >= 10 * share) for i, number in enumerate(numbers)]
    before, cpu_s = worker.total(TAKEN), worker.cpu_s()
    due = before + len(labels) + sum(each.correct is None for each in labels)
    produce(place.kafka, FEEDBACK, labels)
    began = until(lambda: worker.total(TAKEN) > before)
    until(lambda: worker.total(TAKEN) >= due)
    done = until_drained([worker])
    return (worker.cpu_s() - cpu_s) / len(labels) * 1e6, len(labels) / (done - began)


def _label(number: int, *, judged: bool) -> FeedbackGiven:
    return feedback(event(number), number % 10 != 0 if judged else None)
