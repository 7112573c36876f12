from __future__ import annotations

import pytest

from streams.settings import WorkerSettings


def test_defaults_are_valid() -> None:
    assert WorkerSettings().batch_events == 8_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_events", 0),
        ("recent_offsets", -1),
        ("lake_commit_rows", 0),
        ("lake_commit_s", 0.0),
        ("lake_commit_s", -1.0),
        ("within_s", 0.0),
        ("stalled_s", -1.0),
        ("turn_s", 0.0),
        ("passed_every_s", 0.0),
        ("clock_skew_s", 0.0),
        ("patience_s", -1.0),
        ("app_id", ""),
        ("heartbeat_s", 0.0),
        ("session_timeout_s", 2.0),
    ],
)
def test_a_bad_value_is_refused_with_its_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"WorkerSettings.{name} is {value!r}, expected"):
        WorkerSettings(**{name: value})  # type: ignore[arg-type]
