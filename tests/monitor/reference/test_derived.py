from __future__ import annotations

import gc
import threading
from dataclasses import dataclass

import numpy as np
import pytest

from monitor.describe.traits import Traits
from monitor.reference.derived import KeptValues, derived
from monitor.reference.frozen import freeze, scorer
from monitor.signals.drift_detector import detectors

BYTES = 100


class Held:
    """What something is derived of."""


@dataclass
class Heavy:
    made: int
    nbytes: int = BYTES


def asked(kept: KeptValues[Held, Heavy], held: Held, *arguments: object) -> bool:
    """Whether it was kept; it is now."""
    found = kept.get(held, arguments) is not None
    if not found:
        kept.put(held, arguments, Heavy(0))
    return found


def test_everything_watched_is_kept_however_much_that_is() -> None:
    kept, watched = KeptValues[Held, Heavy](10**9), [Held() for _ in range(1_000)]
    assert [sum(asked(kept, held) for held in watched) for _ in range(3)] == [0, 1_000, 1_000]


@pytest.mark.slow
def test_what_is_no_longer_watched_is_forgotten() -> None:
    kept, watched = KeptValues[Held, Heavy](10**9), [Held() for _ in range(100)]
    for held in watched:
        asked(kept, held)
    del watched[10:], held
    gc.collect()
    assert (len(kept), kept.nbytes) == (10, 10 * BYTES)


def test_a_little_more_than_fits_costs_a_little_more() -> None:
    """110 take turns where 100 fit: the one used longest ago would always be the one needed next."""
    kept, watched = KeptValues[Held, Heavy](100 * BYTES), [Held() for _ in range(110)]
    hits = [sum(asked(kept, held) for held in watched) for _ in range(30)]
    assert min(hits[1:]) > 55
    assert kept.nbytes <= 100 * BYTES


def test_one_that_is_larger_than_the_bound_is_kept_alone() -> None:
    kept, large, small = KeptValues[Held, Heavy](BYTES // 2), Held(), Held()
    assert [asked(kept, large), asked(kept, large), asked(kept, small), asked(kept, large)] == [
        False,
        True,
        False,
        False,
    ]
    assert len(kept) == 1


def test_other_arguments_are_worked_out_anew() -> None:
    calls = []

    @derived()
    def work(held: Held, arl: float) -> Heavy:
        calls.append(arl)
        return Heavy(len(calls))

    held = Held()
    assert [work(held, 1.0).made, work(held, 1.0).made, work(held, 2.0).made, work(held, 2.0).made] == [1, 1, 2, 2]
    assert calls == [1.0, 2.0]


@pytest.mark.slow
def test_threads_keep_the_count() -> None:
    kept = KeptValues[Held, Heavy](50 * BYTES)

    def turn() -> None:
        for _ in range(300):
            watched = [Held() for _ in range(10)]
            for held in watched:
                asked(kept, held)

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert (len(kept), kept.nbytes) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("watches", [1, 17, 33, 65, 100])
def test_a_worker_makes_each_reference_ready_once_however_many_it_watches(watches: int) -> None:
    """Of other sizes each, as references that span a time are."""
    rng = np.random.default_rng(0)
    sizes = [60 + k for k in range(watches)]
    traits = [Traits(int(rng.integers(2**63)), "card" if k % 2 else "refund") for k in range(max(sizes))]
    watched = [freeze(["x"], rng.standard_normal((n, 1)).tolist(), list(range(n)), traits=traits[:n]) for n in sizes]
    ready = [(scorer(each), detectors(each, 10_000)) for each in watched]
    again = [(scorer(each), detectors(each, 10_000)) for each in watched]
    assert all(a is b for one, other in zip(ready, again, strict=True) for a, b in zip(one, other, strict=True))
