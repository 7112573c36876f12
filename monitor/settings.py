"""What the operator decides about watching and acting; checked once, when made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from monitor.describe.patterns import Forbidden
from monitor.detectors.risk import LEAST_ROOM
from monitor.selection.sources import problems
from monitor.validation import require

LONGEST_WAIT_S = 366 * 86_400  # of a label for its reply
MOST_TOLERATED = 1.0 - 2.0 * LEAST_ROOM  # between groups: no gap could be proven above more


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnWindow:
    """Fires when the error budget burns `rate` times too fast over both the long and the short window."""

    long_s: int  # the window that must have burnt
    short_s: int  # the window that still burns
    rate: float  # times the budget's even pace

    def __post_init__(self) -> None:
        require(self, "short_s", self.short_s > 0, "a positive number of seconds")
        require(self, "long_s", self.long_s >= self.short_s, f"at least short_s ({self.short_s})")
        require(self, "rate", self.rate > 0, "a positive factor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slo:
    """What clients were promised: at most `error_budget` of the requests fail, at most `latency_budget` of the
    answered ones are slower than a limit."""

    ttft_ms: float = 5_000.0  # to the first token of a stream
    tpot_ms: float | None = None  # for each token after it; None: not promised
    latency_ms: float = 30_000.0  # of a whole answer
    error_budget: float = 0.01  # share of the requests that may fail
    latency_budget: float = 0.05  # share of the answered requests that may be slow
    min_bad: int = 10  # fewer bad requests than this in the short window never fire
    # pairs of windows, and how fast the budget burns in both
    burn_windows: tuple[BurnWindow, ...] = (
        BurnWindow(long_s=3_600, short_s=300, rate=14.4),
        BurnWindow(long_s=21_600, short_s=1_800, rate=6.0),
    )

    def __post_init__(self) -> None:
        require(self, "ttft_ms", self.ttft_ms > 0, "a positive number of milliseconds")
        require(self, "tpot_ms", self.tpot_ms is None or self.tpot_ms > 0, "nothing or a positive number")
        require(self, "latency_ms", self.latency_ms > 0, "a positive number of milliseconds")
        require(self, "error_budget", 0 < self.error_budget < 1, "a share between 0 and 1")
        require(self, "latency_budget", 0 < self.latency_budget < 1, "a share between 0 and 1")
        require(self, "min_bad", self.min_bad >= 1, "at least 1")
        require(self, "burn_windows", len(self.burn_windows) > 0, "at least one window")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """How much worse than the rest a group may be served. `tolerated`: the gap that is still accepted, of labels in the
    metric's own unit. `arl`: pairs, of
    all groups and measures together, per false alarm. `least`: pairs of a group before it is compared. `keys`: the tags
    that are looked at. `most`: groups of each, others are one. `alpha`: chance that an interval ever misses the gap."""

    tolerated: float = 0.05
    arl: float = 10_000.0
    least: int = 50
    keys: tuple[str, ...] = ("tenant", "language", "group")
    most: int = 8
    alpha: float = 0.05

    def __post_init__(self) -> None:
        require(self, "tolerated", 0 <= self.tolerated <= MOST_TOLERATED, f"a share from 0 to {MOST_TOLERATED:g}")
        require(self, "arl", self.arl >= 1, "at least 1")
        require(self, "least", self.least >= 1, "at least 1")
        require(self, "most", self.most >= 1, "at least 1")
        require(self, "alpha", 0 < self.alpha < 1, "a share between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """How often answers may carry a flag: private data, abuse, a refusal, a forbidden pattern. `arl`: rows between
    false alarms, at least, over all flags together. `tolerance`: how far above what the reference allows a rate may be.
    `confidence`: of the bound of the reference's rate. `least_people`: to whom a flag must have come before it is an
    alarm: one who asks for what must be refused, on two devices, is two at most. Where events name no person, as many
    minutes must have seen it."""

    arl: float = 10_000.0
    tolerance: float = 0.01
    confidence: float = 0.9
    least_people: int = 3

    def __post_init__(self) -> None:
        require(self, "arl", self.arl >= 1, "at least 1")
        require(self, "tolerance", 0 < self.tolerance < 0.5, "a share above 0 and below 0.5")
        require(self, "confidence", 0.5 <= self.confidence < 1, "from 0.5 to below 1")
        require(self, "least_people", 1 <= self.least_people <= 100, "from 1 to 100")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintSettings:
    """How often clients may complain: thumbs down, low scores, corrections, of those who volunteer them. `arl`: replies
    between false alarms, at least. `wait_s`: the age at which a reply is judged; 0: by when nine of ten complaints have
    come, a day at most. An alarm asks for labels of audited replies, and leads to no retraining."""

    arl: float = 100_000.0
    wait_s: float = 0.0

    def __post_init__(self) -> None:
        require(self, "arl", self.arl >= 1, "at least 1")
        require(self, "wait_s", 0 <= self.wait_s <= 604_800, "0 to 604800 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSettings:
    """Where labels come from, who chose the replies that have one, and how they meet these."""

    wait_s: int = 604_800  # a label waits so long for its reply; topics and lake keep both for two days longer
    # a key's id, or what feedback says of itself (client, reviewer, downstream) -> audit, complete, random, wanted
    # (labels of drawn replies alone prove something), or volunteered, as which all others count: those teach, and
    # prove nothing
    sources: dict[str, str] = field(default_factory=dict)
    # of the replies that `homeostat review next` shows, those that other reviewers have labelled already: they tell
    # how far reviewers agree, and who errs
    overlap_share: float = 0.1

    def __post_init__(self) -> None:
        require(self, "wait_s", 60 <= self.wait_s <= LONGEST_WAIT_S, f"60 to {LONGEST_WAIT_S} seconds")
        require(self, "overlap_share", 0 <= self.overlap_share <= 0.5, "a share from 0 to 0.5")
        require(self, "sources", not (wrong := problems(self.sources)), "; ".join(wrong))


STATE_BYTES = 15_000_000  # of the judge's memory of an alias; the log takes 16 MiB
EVENT_BYTES = 200  # of a reference that is gathered, for each event; 175 measured
PASSAGES_BYTES = 700  # more for each with its prompt's passages, at most: sixteen of 31 bytes in base64
PATTERN_BYTES = 8  # more for each policy pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """How an alias is watched."""

    # healthy events that define normal, for each version; where they are so many (5,555 of three versions, half of that
    # with a span) that the passages of their prompts have no room, what prompts share is compared too
    reference_events: int = 2_000
    reference_span_s: int = 0  # the time they span at least: a week knows the rhythm of days; never beyond need
    arl_events: int = 10_000  # events between false drift alarms of an alias, at least; one budget for all descriptors
    label_arl: int = 10_000  # labels, thumbs and scores between false quality alarms at the limit, at least
    judged_arl: int = 10_000  # replies that a judge model is asked about between its false alarms, at least
    # events (labels, pairs of groups) for which nothing may speak for an open alarm before it is over: as many as prove
    # a harm of a few points, so that a harm with a pause in it stays one alarm
    alarm_clear_events: int = 200
    # mean loss above the baseline's upper confidence bound that is not yet harm, in the metric's own unit: 0.03 are 3 %
    # more wrong answers, or a ROUGE-L that is lower by 0.03
    tolerance: float = 0.03
    baseline_confidence: float = 0.9  # of that bound
    min_reference_labels: int = 30  # labels without which no harm can be proven
    late_labels_s: int = 604_800  # labels for the reference are taken this long after it is complete
    window_s: int = 60  # of event time in one window of figures
    grace_s: int = 10  # a window waits so long for late events
    idle_s: int = 30  # a partition silent for so long no longer holds windows open
    versions_kept: int = 3  # of an alias, whose evidence is remembered
    policy_patterns: dict[str, str] = field(default_factory=dict)  # name -> expression that no answer should match
    slo: Slo = field(default_factory=Slo)
    fairness: Fairness = field(default_factory=Fairness)
    safety: Safety = field(default_factory=Safety)
    complaints: ComplaintSettings = field(default_factory=ComplaintSettings)

    def __post_init__(self) -> None:
        require(self, "reference_events", self.reference_events >= 50, "at least 50")
        require(self, "reference_span_s", self.reference_span_s >= 0, "0 or more seconds")
        require(self, "arl_events", self.arl_events >= 100, "at least 100")
        require(self, "label_arl", self.label_arl >= 100, "at least 100")
        require(self, "judged_arl", self.judged_arl >= 100, "at least 100")
        require(self, "alarm_clear_events", self.alarm_clear_events >= 1, "at least 1")
        require(self, "tolerance", 0 <= self.tolerance < 0.5, "a share from 0 to below 0.5")
        require(self, "baseline_confidence", 0.5 <= self.baseline_confidence < 1, "from 0.5 to below 1")
        require(self, "min_reference_labels", self.min_reference_labels >= 10, "at least 10")
        require(self, "late_labels_s", self.late_labels_s >= 0, "0 or more seconds")
        require(self, "window_s", self.window_s >= 1, "at least 1 second")
        require(self, "grace_s", self.grace_s >= 0, "0 or more seconds")
        require(self, "idle_s", self.idle_s >= 1, "at least 1 second")
        require(self, "versions_kept", self.versions_kept >= 2, "at least 2: champion and previous")
        Forbidden(self.policy_patterns)
        most = self._most_reference_events()
        expected = f"at most {most}: the judge's memory of an alias must fit into one Kafka record"
        require(self, "reference_events", self.reference_events <= most, expected)

    @property
    def passages_fit(self) -> bool:
        """Return whether the judge's memory has room for the passages of a reference's prompts."""
        return self.reference_events <= self._most_reference_events(PASSAGES_BYTES)

    def _most_reference_events(self, more_bytes: int = 0) -> int:
        """As many as all versions kept may gather at once, twice as many where they must span some time. `more_bytes`:
        of each event."""
        event_bytes = EVENT_BYTES + PATTERN_BYTES * len(self.policy_patterns) + more_bytes
        return STATE_BYTES // (event_bytes * self.versions_kept * (2 if self.reference_span_s else 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSettings:
    """Whether complaints may decide between champion and canary, drawn at random, what the gate left open for want of
    fair labels alone."""

    allowed: bool = False  # a canary that was not proven by labels answers clients as long as the trial lasts
    margin: float = 0.1  # share of the champion's complaints by which they must have fallen; or risen, to end it
    alpha: float = 0.05  # chance that a candidate that is no better passes
    session_s: int = 1_800  # replies of a conversation, else an end user, from the first on that are one session
    wait_s: int = 86_400  # after a session, for complaints: then silence is none
    longest_s: int = 604_800  # a trial that proves nothing within this time ends without a promotion

    def __post_init__(self) -> None:
        require(self, "margin", 0 <= self.margin < 1, "a share from 0 to below 1")
        require(self, "alpha", 0 < self.alpha < 1, "a share between 0 and 1")
        require(self, "session_s", self.session_s >= 1, "at least 1 second")
        require(self, "wait_s", self.wait_s >= 0, "0 or more seconds")
        matured = self.session_s + self.wait_s
        require(self, "longest_s", self.longest_s > matured, f"more than session_s and wait_s together, {matured}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """When an alarm becomes a retraining."""

    # act, or observe: alarms, pages and verdicts are made and recorded, and nothing is retrained, promoted or rolled
    # back unless a person does it; a candidate waits for a person's approval
    mode: Literal["act", "observe"] = "act"
    min_fresh_labels: int = 200  # labels since the onset before a retraining is asked for
    cool_down_s: int = 3_600  # rest after a finished retraining, unless it was inconclusive
    budget_per_day: int = 4  # retrainings of an alias
    label_growth: float = 1.5  # after a rejection or an inconclusive verdict, wait for this many times the labels
    retraining_timeout_s: int = 21_600  # a retraining silent for so long has failed
    # a judge model's scores, with no label behind them, may ask for a retraining and prove a candidate better; without
    # it they raise alarms and block a promotion, and no more
    judge_may_promote: bool = False
    approvals: int = 0  # people who have to approve a candidate before its rollout, each with their key
    approval_timeout_s: int = 14_400  # from the gate's verdict; then a candidate that they did not approve is ended
    trial: TrialSettings = field(default_factory=TrialSettings)

    def __post_init__(self) -> None:
        require(self, "min_fresh_labels", self.min_fresh_labels >= 1, "at least 1")
        require(self, "cool_down_s", self.cool_down_s >= 0, "0 or more seconds")
        require(self, "budget_per_day", self.budget_per_day >= 0, "0 (never retrain) or more")
        require(self, "label_growth", self.label_growth > 1, "a factor above 1")
        require(self, "retraining_timeout_s", self.retraining_timeout_s > 0, "a positive number of seconds")
        require(self, "approvals", self.approvals in (0, 1, 2), "0, 1 or 2 people")
        fits = 0 < self.approval_timeout_s < self.retraining_timeout_s or not self.people
        longest = f"a positive number below retraining_timeout_s, which is {self.retraining_timeout_s}"
        require(self, "approval_timeout_s", fits, f"{longest}: after it another retraining would begin")

    @property
    def observes(self) -> bool:
        """Return whether only people act."""
        return self.mode == "observe"

    @property
    def people(self) -> int:
        """Return how many people have to approve a candidate: at least one where only people act."""
        return max(1, self.approvals) if self.observes else self.approvals
