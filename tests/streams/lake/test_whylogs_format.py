from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from streams.lake import whylogs_format as profile
from tests.streams.support.profile_counts import count


def test_profiles_merge_and_are_read_as_they_were_written() -> None:
    values = np.random.default_rng(0).standard_normal((100, len(NAMES)))
    whole = profile.merged([profile.profile(NAMES, values[:60]), profile.profile(NAMES, values[60:])])
    again = profile.read(profile.to_bytes(whole))
    assert [count(again, name) for name in NAMES] == [100] * len(NAMES)
    assert count(again, "unknown") == 0


@pytest.mark.slow
def test_threads_that_begin_at_once_do_not_wait_for_each_other() -> None:
    """In a process of its own: it is about what a process does for the first time."""
    code = (
        "import threading\n"
        "import numpy as np\n"
        "from streams.lake import whylogs_format as whylogs\n"
        "met = threading.Barrier(4)\n"
        "def work():\n"
        "    met.wait()\n"
        "    whylogs.read(whylogs.to_bytes(whylogs.profile(['a', 'b'], np.ones((10, 2)))))\n"
        "threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "[each.start() for each in threads]\n"
        "[each.join() for each in threads]\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_an_empty_batch_has_a_profile() -> None:
    assert count(profile.profile(NAMES, np.empty((0, len(NAMES)))), NAMES[0]) == 0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whylogs means and variances of such columns
def test_values_that_are_not_finite_are_counted_as_such() -> None:
    """Finite columns take a faster way through whylogs: both ways must say the same."""
    finite = np.random.default_rng(0).standard_normal((100, 2))
    holes = np.vstack([finite, [[np.nan, np.inf]]])
    quick = profile.profile(["a", "b"], finite).to_pandas()
    slow = profile.profile(["a", "b"], holes).to_pandas()
    assert quick["distribution/median"]["a"] == slow["distribution/median"]["a"]
    assert list(quick["counts/n"]) == [100, 100]
    assert (slow["counts/nan"]["a"], slow["counts/inf"]["b"]) == (1, 1)
    assert list(quick["types/fractional"]) == [100, 100]
    assert quick["cardinality/est"]["a"] == slow["cardinality/est"]["a"]
