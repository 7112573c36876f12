from __future__ import annotations

from pathlib import Path

from mode.utils.queues import FlowControlQueue

from monitor.settings import MonitorSettings, PolicySettings
from streams.app import build_app
from streams.log import KafkaSettings
from streams.topics import FEEDBACK, INFERENCE
from tests.streams.traffic import small


def test_a_full_buffer_of_one_agent_never_keeps_records_from_another(tmp_path: Path) -> None:
    """Each partition may be given one more poll after its agent's buffer is said to be full."""
    conf = build_app(KafkaSettings(), small(tmp_path, "t"), MonitorSettings(), PolicySettings()).conf
    left = conf.stream_buffer_maxsize - conf.stream_buffer_maxsize / FlowControlQueue.pressure_high_ratio
    assert max(INFERENCE.partitions, FEEDBACK.partitions) * conf.broker_max_poll_records <= left
