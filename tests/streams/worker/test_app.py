from __future__ import annotations

from pathlib import Path

import pytest

from monitor.settings import MonitorSettings, PolicySettings
from streams.log.settings import KafkaSettings
from streams.settings import WorkerSettings
from streams.worker.app import build
from tests.streams.support.traffic import within


@pytest.mark.slow
def test_the_operators_patterns_reach_the_worker(tmp_path: Path) -> None:
    settings = WorkerSettings()
    monitor = MonitorSettings(policy_patterns={"acme": r"\bacme\b"})
    worker = build(KafkaSettings(), settings, within(tmp_path), monitor, PolicySettings())
    assert worker.ingests[0].source.describe.names[-1] == "output_policy_acme"
    assert worker.reporter.policy_patterns == monitor.policy_patterns
