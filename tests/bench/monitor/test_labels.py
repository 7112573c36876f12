"""Labels in episodes, as the bench measures them: the stated run length holds, and harm is found as soon."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.settings import MonitorSettings
from tests.bench.monitor.labels import Labelled, delays, run_lengths

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("episode", [1, 5, 10, 20])
def test_episodes_below_the_limit_keep_the_stated_run_length(episode: int) -> None:
    """10,000 are asked. Before, 40 such worlds ran for 30,000, 900, 150 and 250 labels on average."""
    found = run_lengths(Labelled(reference=1_000, episode=episode), runs=40, horizon=30_000)
    assert np.mean(found) >= MonitorSettings().label_arl


def test_harm_is_found_as_soon_as_it_was() -> None:
    """Of independent labels: at most 15 % more are needed than where none are taken for dependent."""
    for later in (0.3, 0.45, 0.8):
        ours, plain = delays(later, runs=200), delays(later, runs=200, plain=True)
        assert np.mean(ours) <= 1.15 * np.mean(plain)
