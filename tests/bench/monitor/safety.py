"""How rarely safe answers raise an alarm, how soon unsafe ones do, and what describing costs: `python -m
tests.bench.monitor.safety`.

Four flags with a reference of 2,000 rows; 10,000 rows between false alarms are asked for. Prints a table and writes
`var/bench/safety.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from monitor.describe.descriptors import NAMES, Describer, ReplyText
from monitor.describe.patterns import Forbidden
from monitor.settings import Safety
from monitor.signals.flags import State, restarted, start
from tests.bench.tools.figures import Figure, tell
from tests.monitor.support.plain import flagged

OUT = Path("var/bench/safety.json")
FLAGS = ("output_pii", "output_toxic", "output_refusal", "output_policy_acme")
PATTERNS = {"acme": r"\bacme\b", "promise": r"guarantee[ds]?\s{1,5}returns?", "hurry": r"act now.{0,40}limited"}
_WORDS = "where is my card order refund payment the app please help today I would like to know when it comes"
WORDS = _WORDS.split()
REFERENCE = 2_000


def rows(rng: np.random.Generator, count: int, rates: list[float]) -> list[list[float]]:
    flags = rng.random((count, len(rates))) < np.array(rates)
    return flags.astype(float).tolist()  # type: ignore[no-any-return]


def begun(settings: Safety, rng: np.random.Generator, rate: float) -> State:
    return start(settings, FLAGS, rows(rng, REFERENCE, [rate] * len(FLAGS)))


def moments(count: int, first: int = 0) -> list[tuple[str, int]]:
    """Events of as many people."""
    return [(str(first + k), first + k) for k in range(count)]


def between(settings: Safety, rate: float, *, seed: int, events: int = 20_000) -> int:
    """False alarms with all flags exactly at their limits; each is taken back at once."""
    rng = np.random.default_rng(seed)
    state, alarms = begun(settings, rng, rate), 0
    limits = [flag.limit for flag in state.flags]
    for first in range(0, events, 500):
        state, found = flagged(settings, state, rows(rng, 500, limits), moments(500, first))
        alarms += len(found)
        for each in found:
            state = restarted(state, each.flag)
    return alarms


def delay(settings: Safety, rate: float, later: float, *, seed: int) -> int:
    """Rows from where one flag rises, after 1,000 healthy ones."""
    rng = np.random.default_rng(seed)
    state = begun(settings, rng, rate)
    state, _ = flagged(settings, state, rows(rng, 1_000, [rate] * len(FLAGS)), moments(1_000))
    most = 20_000
    worse = rows(rng, most, [later, *[rate] * (len(FLAGS) - 1)])
    _, found = flagged(settings, state, worse, moments(most))
    return next((each.last[1] + 1 for each in found if each.flag == FLAGS[0]), most)


def alarms(runs: int = 20) -> list[Figure]:
    settings = Safety(arl=1_000)
    figures = []
    for rate in (0.0, 0.01, 0.1):
        counts = [between(settings, rate, seed=seed, events=5_000) for seed in range(runs)]
        name = f"rows per false alarm, 1000 asked, all flags at their limits, {rate:.0%} in the reference"
        figures.append(Figure(name, 5_000 * runs / max(sum(counts), 1), "rows", 1_000, "higher"))
    return figures


def lumps(runs: int = 20) -> list[Figure]:
    """One answer in fifty has the flag, so many in a row, each to somebody else; in the reference too."""
    settings, figures = Safety(arl=2_000), []
    for size in (1, 3, 5, 10):
        raised = 0
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            made = np.repeat(rng.random(6_000 // size + 1) < 0.02, size)[:6_000]
            table = [[float(hit), 0.0, 0.0, 0.0] for hit in made]
            state = start(settings, FLAGS, table[:REFERENCE])
            raised += bool(flagged(settings, state, table[REFERENCE:], moments(4_000))[1])
        name = f"healthy runs of 4,000 rows with an alarm, flags in lumps of {size}, 2,000 asked"
        figures.append(Figure(name, raised / runs, "share", 0.25))
    return figures


def delays(runs: int = 40) -> list[Figure]:
    told = []
    for rate, later in ((0.001, 0.03), (0.001, 0.1), (0.01, 0.05), (0.01, 0.2), (0.1, 0.2), (0.1, 0.5)):
        needed = median(delay(Safety(), rate, later, seed=seed) for seed in range(runs))
        told.append(Figure(f"answers to notice a flag from {rate:.1%} to {later:.0%}", needed, "rows"))
    return told


def cost() -> list[Figure]:
    """CPU time of describing an event of 14 words and a label, and one of 1 KB and an answer of 0.7 KB."""
    rng = np.random.default_rng(0)
    short = [ReplyText(" ".join(rng.choice(WORDS, 14)) + "?", "card_arrival", 18, 4, -0.1, -0.4) for _ in range(1_000)]
    asked = [f"{' '.join(rng.choice(WORDS, 230))}, order {k} of 2024-11-24 for 12.50?" for k in range(1_000)]
    long = [ReplyText(text, " ".join(rng.choice(WORDS, 160)), 300, 200, -0.1, -0.4) for text in asked]
    watched = Describer(Forbidden(PATTERNS))
    return [
        Figure(f"describe, {len(NAMES)} descriptors, short", _cpu_us(lambda: Describer()(short)), "us/event"),
        Figure(f"describe, {len(NAMES)} descriptors, 1 KB", _cpu_us(lambda: Describer()(long)), "us/event"),
        Figure(f"the same with {len(PATTERNS)} patterns", _cpu_us(lambda: watched(long)), "us/event"),
    ]


def _cpu_us(work: Callable[[], object], events: int = 1_000) -> float:
    """The best of fifteen."""
    taken = []
    for _ in range(15):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return min(taken) / events * 1e6


def figures() -> list[Figure]:
    """All of them; about a minute."""
    return [*cost(), *alarms(), *lumps(), *delays()]


def main() -> None:
    tell(figures(), OUT)


if __name__ == "__main__":
    main()
