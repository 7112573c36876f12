from __future__ import annotations

from collections.abc import Callable

import pytest

from monitor.settings import BurnWindow, LabelSettings, MonitorSettings, PolicySettings, Slo


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MonitorSettings(reference_events=3), ("MonitorSettings.reference_events", "3", "at least 50")),
        (lambda: MonitorSettings(reference_events=25_001), ("reference_events", "25001", "at most 25000", "record")),
        (lambda: MonitorSettings(reference_events=12_501, reference_span_s=1), ("12501", "at most 12500")),
        (lambda: MonitorSettings(reference_events=12_501, versions_kept=6), ("12501", "at most 12500")),
        (lambda: MonitorSettings(tolerance=0.7), ("tolerance", "0.7", "0.5")),
        (lambda: MonitorSettings(policy_patterns={"x": "(a+)+b"}), ("policy_patterns.x", "(a+)+b", "4000")),
        (lambda: LabelSettings(wait_s=59), ("LabelSettings.wait_s", "59", "60 to 31622400 seconds")),
        (lambda: LabelSettings(wait_s=31_622_401), ("wait_s", "31622401", "60 to 31622400")),
        (lambda: PolicySettings(label_growth=1.0), ("label_growth", "1.0", "above 1")),
        (lambda: Slo(error_budget=0.0), ("error_budget", "0.0", "between 0 and 1")),
        (lambda: BurnWindow(long_s=10, short_s=20, rate=2.0), ("long_s", "10", "20")),
    ],
)
def test_errors_name_field_value_and_expectation(make: Callable[[], object], words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        make()
    assert all(word in str(caught.value) for word in words)
