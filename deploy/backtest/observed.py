"""The facts of a history, whichever policy judges it: which version answered when, and how good its answers were.

Of each reply its time is kept, of each label its time and its loss: some 60 bytes, so that a month fits."""

from __future__ import annotations

from array import array
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from deploy.backtest.harms import HarmPeriod, Ints, Labels, harms
from monitor.describe.fingerprint import event_print
from monitor.losses import is_graded
from streams.events import FeedbackGiven, InferenceServed
from streams.kinds import Arm
from streams.lake.history import Slice

RECENT = 200_000  # replies whose label finds their time; a later one counts at its own


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about the champion's replies, by version, in the order of time. `given_ms`: when labels came. `metric`:
    that of the last one."""

    replies_ms: dict[str, Ints]
    labels: dict[str, Labels]
    given_ms: dict[str, Ints]
    metric: str = ""

    @property
    def graded(self) -> bool:
        """Return whether losses lie between 0 and 1."""
        return any(is_graded(labels.losses.tolist()) for labels in self.labels.values())

    def harms(self, tolerance: float) -> list[HarmPeriod]:
        """Return the harms of all versions, in the order of time."""
        found = [harm for version, labels in self.labels.items() for harm in harms(version, labels, tolerance)]
        return sorted(found, key=lambda harm: harm.onset_ms)

    @property
    def champions(self) -> list[tuple[int, str]]:
        """Each version with the time of its first reply."""
        return sorted((int(times[0]), version) for version, times in self.replies_ms.items() if len(times))


@dataclass(slots=True)
class VersionLabels:
    """The labels of one version as they came."""

    times_ms: array[int] = field(default_factory=lambda: array("q"))
    given_ms: array[int] = field(default_factory=lambda: array("q"))
    losses: array[float] = field(default_factory=lambda: array("d"))
    events: list[int] = field(default_factory=list)  # prints


@dataclass(slots=True)
class Observed:
    """What was observed so far; slices are added in order."""

    replies: dict[str, array[int]] = field(default_factory=dict)
    labels: dict[str, VersionLabels] = field(default_factory=dict)
    recent: dict[int, int] = field(default_factory=dict)  # time of a reply; -1 once it is labelled
    metric: str = ""

    def add(self, slice: Slice) -> None:
        """Add the champion's answers and the labels on them. An answer's first label counts."""
        for reply in slice.replies:
            if reply.arm is Arm.CHAMPION and reply.status == 200:
                self._add_reply(reply)
        for label, given_ms in zip(slice.labels, slice.labels_ms, strict=True):
            if label.arm is Arm.CHAMPION and label.loss is not None:
                self._add_label(label, label.loss, given_ms)
        if len(self.recent) > RECENT:
            self.recent = dict(list(self.recent.items())[-RECENT:])

    def facts(self, asked: Collection[str]) -> Facts:
        """Return the facts, without the labels of events that alarms asked for."""
        chosen = set(map(event_print, asked))
        labels = {version: _kept(labels, chosen) for version, labels in self.labels.items()}
        given = {version: np.sort(np.array(labels.given_ms, dtype=np.int64)) for version, labels in self.labels.items()}
        replies = {version: np.sort(np.array(times, dtype=np.int64)) for version, times in self.replies.items()}
        return Facts(replies, labels, given, self.metric)

    def _add_reply(self, reply: InferenceServed) -> None:
        self.replies.setdefault(reply.version, array("q")).append(reply.time_ms)
        self.recent[event_print(reply.id)] = reply.time_ms

    def _add_label(self, label: FeedbackGiven, loss: float, given_ms: int) -> None:
        event = event_print(label.event_id)
        time_ms = self.recent.get(event, label.time_ms)
        if time_ms < 0:
            return
        self.recent[event] = -1
        labels = self.labels.setdefault(label.version, VersionLabels())
        labels.times_ms.append(time_ms)
        labels.given_ms.append(given_ms)
        labels.losses.append(loss)
        labels.events.append(event)
        self.metric = label.metric


def _kept(labels: VersionLabels, chosen: Collection[int]) -> Labels:
    fair = np.array([event not in chosen for event in labels.events], dtype=bool)
    times = np.array(labels.times_ms, dtype=np.int64)[fair]
    order = np.argsort(times, kind="stable")
    return Labels(times[order], np.array(labels.losses, dtype=np.float64)[fair][order])
