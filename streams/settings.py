"""The operator's settings of the worker; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.validation import require

POSITIVE = (
    *("within_s", "profile_flush_s", "lag_every_s", "stalled_s", "commit_s", "rebalance_timeout_s"),
    *("turn_s", "passed_every_s", "clock_skew_s", "patience_s", "lake_commit_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How events are taken from the log. Where their rows go, `[storage]` says."""

    app_id: str = "homeostat-worker"  # the consumer group: workers with the same id share the partitions
    lake_commit_rows: int = 2_000  # of all partitions, written at once; few rows at a time take more room
    lake_commit_s: float = 5.0  # how long rows wait for more of them; a restart takes them from the log again
    batch_events: int = 8_000  # events of all partitions handled at once; as many of each may wait
    within_s: float = 0.5  # how long a batch waits for more
    recent_offsets: int = 20_000  # an id seen again within so many offsets of its partition is a duplicate
    profile_window_s: int = 3_600  # of event time in one profile
    profile_flush_s: float = 30.0  # each time costs the same, however little came
    report_events: int = 1_000  # rows on each side of an alarm's report
    turn_s: float = 1.0  # of the log's time: events of one tick are judged at once, replies before labels
    passed_every_s: float = 1.0  # how often the watermarks are sent: no event is judged before they are past it
    clock_skew_s: float = 1.0  # between a broker's clock and a worker's, at most; and until a record can be read
    patience_s: float = 60.0  # how long the others' events wait for a partition that does not move
    lag_every_s: float = 5.0  # how often the consumers' lag is measured
    stalled_s: float = 30.0  # events waiting and none handled for so long: something hangs
    session_timeout_s: float = 6.0  # a worker silent for so long has lost its partitions
    heartbeat_s: float = 1.0  # how often a worker says that it lives
    rebalance_timeout_s: float = 10.0  # for a worker to give up its partitions
    commit_s: float = 1.0  # how often offsets are acknowledged

    def __post_init__(self) -> None:
        for name in ("batch_events", "recent_offsets", "lake_commit_rows", "profile_window_s", "report_events"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in POSITIVE:
            require(self, name, getattr(self, name) > 0, "a positive number of seconds")
        require(self, "app_id", bool(self.app_id), "a name")
        require(self, "heartbeat_s", self.heartbeat_s > 0, "a positive number of seconds")
        require(self, "session_timeout_s", self.session_timeout_s >= 3 * self.heartbeat_s, "at least 3 heartbeats")
