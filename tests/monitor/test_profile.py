from __future__ import annotations

from pathlib import Path

import numpy as np

from monitor import profile
from monitor.descriptors import NAMES


def test_profiles_merge_and_survive_the_disk(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((100, len(NAMES)))
    whole = profile.merged([profile.profile(NAMES, values[:60]), profile.profile(NAMES, values[60:])])
    profile.write(whole, tmp_path / "deep" / "window.bin")
    again = profile.read(tmp_path / "deep" / "window.bin")
    assert [profile.count(again, name) for name in NAMES] == [100] * len(NAMES)
    assert profile.count(again, "unknown") == 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["window.bin"]


def test_an_empty_batch_has_a_profile() -> None:
    assert profile.count(profile.profile(NAMES, np.empty((0, len(NAMES)))), NAMES[0]) == 0
