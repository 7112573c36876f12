"""The worker's metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONSUMED = Counter("homeostat_events_consumed_total", "Events handled, without duplicates.", ["topic"])
DUPLICATES = Counter("homeostat_events_duplicate_total", "Events dropped: the same id came before.", ["topic"])
DEAD_LETTERED = Counter("homeostat_events_dead_lettered_total", "Events that could not be read.", ["topic"])
LAG = Gauge("homeostat_consumer_lag_events", "Events in the log that are not handled yet.", ["topic", "partition"])
STALLED = Gauge("homeostat_consumer_stalled_partitions", "Partitions with events waiting and none handled.", ["topic"])
BATCH_SECONDS = Histogram(
    "homeostat_batch_duration_seconds",
    "From taking a batch to handing on all that follows from it.",
    ["topic"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
UNWRITTEN = Gauge(
    "homeostat_lake_unwritten_seconds",
    "Age of the oldest event that is scored and not in the lake yet: until it is, it is not acknowledged.",
    ["topic"],
)
RETRIES = Counter(
    "homeostat_batch_retries_total", "Batches tried again, because a part of the system failed.", ["topic"]
)
RECREATED = Gauge(
    "homeostat_topic_made_anew",
    "1 where the worker takes nothing of a topic: it was deleted and created again, and no operator has accepted that.",
    ["topic"],
)
TOO_LARGE = Counter(
    "homeostat_records_too_large_total", "Records that no broker takes: kept aside, while the rest goes on.", ["topic"]
)
DELETED_UNREAD = Counter(
    "homeostat_events_deleted_unread_total",
    "Records that the log deleted before the worker read them: it keeps them for less time than the worker lags.",
    ["topic"],
)
LABELS = Counter("homeostat_labels_total", "Feedback that has a loss.", ["alias"])
LABELS_WAITING = Gauge(
    "homeostat_labels_waiting",
    "Labels that this worker has not judged yet: their reply is not there, or their metric has no score.",
)
REPLIES_WAITING = Gauge(
    "homeostat_judge_waiting_replies", "Replies that a judge model is to score and has not yet, of this worker."
)
REPLIES_UNSCORED = Counter(
    "homeostat_judge_unscored_replies_total",
    "Replies that a judge model was to score and that stay without: never taken for wrong ones.",
    ["reason"],
)
ALARMS = Counter("homeostat_alarms_total", "Alarms raised.", ["alias", "kind"])
CLEARED = Counter("homeostat_alarms_cleared_total", "Alarms that are over.", ["alias", "kind", "cause"])
ALARM_OPEN = Gauge(
    "homeostat_alarm_open",
    "1 while an alarm of this kind about this flag or group is open for the version that serves, 0 while none is.",
    ["alias", "version", "kind", "about"],
)
ALARM_HARM = Gauge(
    "homeostat_alarm_harm_ratio",
    "Share of bad replies that the open alarm was raised for, or how much worse off a group is.",
    ["alias", "version", "kind", "about"],
)
LABELS_WANTED = Gauge(
    "homeostat_labels_wanted", "Labels that are missing to tell whether there is harm, or to train.", ["alias"]
)
ALARM_ONSET = Gauge(
    "homeostat_alarm_onset_seconds",
    "When what the open alarm is about began, as far as is known: Unix time.",
    ["alias", "version", "kind", "about"],
)
WINDOWS = Counter("homeostat_windows_total", "Windows closed.", ["alias"])
LATE = Gauge(
    "homeostat_window_late_events",
    "Replies and labels that came after their window was closed: judged, in the lake and in the profiles, not counted "
    "in the window.",
    ["alias"],
)
RETRAINING_REQUESTS = Counter("homeostat_retraining_requests_total", "Retrainings asked for.", ["alias"])
WAITING = Gauge("homeostat_scores_waiting_rows", "Scores that wait for their turn to be judged.", ["partition"])
LEFT_OUT = Gauge(
    "homeostat_partitions_left_out",
    "Partitions that have not moved for so long that events of others are judged without them.",
    ["partition"],
)
REPORTS = Counter("homeostat_reports_total", "Reports rendered for alarms.", ["outcome"])
EVIDENCE = Gauge(
    "homeostat_evidence_ratio",
    "A detector's statistic over its threshold; 1 or more has fired.",
    ["alias", "version", "detector"],
)
ACCURACY = Gauge(
    "homeostat_accuracy_ratio",
    "1 less the mean loss of labels, last window that had any: the share that is right, or the metric's mean.",
    ["alias", "version"],
)
ESTIMATED_ACCURACY = Gauge(
    "homeostat_estimated_accuracy_ratio",
    "The same as confidence promises it; an estimate.",
    ["alias", "version"],
)
GAP = Gauge(
    "homeostat_group_gap_ratio",
    "How much worse a group is served than the rest, in errors, refusals or slow replies.",
    ["alias", "version", "tag", "group", "measure"],
)
GAP_LOW = Gauge(
    "homeostat_group_gap_low_ratio",
    "The gap at least, at 95 %, whenever it is looked at.",
    ["alias", "version", "tag", "group", "measure"],
)
REFERENCE_EVENTS = Gauge("homeostat_reference_events", "Events in a version's reference.", ["alias", "version"])
