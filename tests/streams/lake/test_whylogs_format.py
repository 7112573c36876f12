from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monitor.describe.descriptors import NAMES
from streams.lake import whylogs_format as profile
from tests.streams.support.profile_counts import count


def test_profiles_merge_and_survive_the_disk(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((100, len(NAMES)))
    whole = profile.merged([profile.profile(NAMES, values[:60]), profile.profile(NAMES, values[60:])])
    (tmp_path / "window.bin").write_bytes(profile.to_bytes(whole))
    again = profile.read(tmp_path / "window.bin")
    assert [count(again, name) for name in NAMES] == [100] * len(NAMES)
    assert count(again, "unknown") == 0


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
