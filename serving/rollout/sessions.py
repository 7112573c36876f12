"""The sessions of a trial, from the scores of replies and feedback: which complained replies belong together, and when
are they all known?

A session is a conversation's, else an end user's, else a reply alone: its replies of `session_s` from the first on. It
has matured `wait_s` after that, whether anybody complained or not, and each has one session. Memory of one process,
bounded; it is made again from the scores since the canary began.

>>> sessions = Sessions(session_s=60.0, wait_s=60.0)
>>> sessions.reply("a", unit=7, candidate=True, at_ms=0)
>>> sessions.reply("b", unit=7, candidate=True, at_ms=30_000)
>>> sessions.complaint("b", at_ms=90_000)
>>> sessions.matured(119_999), sessions.matured(120_000)
([], [Session(candidate=True, loss=0.5)])
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

from serving.rollout.senders import Recent
from serving.rollout.trial import Session

Key = int | str  # a unit, or the id of a reply that is alone


@dataclass(slots=True)
class OpenSession:
    """A session under way: its replies, and those of them that were complained of."""

    candidate: bool
    since_ms: int
    replies: int = 0
    complained: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Sessions:
    """The sessions that have not matured yet, in the order in which they began, and everybody who had one."""

    session_s: float
    wait_s: float
    _open: Recent[Key, OpenSession] = field(default_factory=Recent)
    _of: Recent[str, Key] = field(default_factory=Recent)  # the session of each reply
    _over: Recent[Key, None] = field(default_factory=Recent)

    def reply(self, event_id: str, unit: int, *, candidate: bool, at_ms: int) -> None:
        """Take a reply of the arm that was drawn. `unit`: for whom; 0: for this reply alone."""
        key = unit or event_id
        if key in self._over or event_id in self._of:
            return
        if key not in self._open:
            self._open.put(key, OpenSession(candidate, at_ms))
        session = self._open[key]
        if at_ms - session.since_ms < 1_000 * self.session_s:
            session.replies += 1
            self._of.put(event_id, key)

    def complaint(self, event_id: str, at_ms: int) -> None:
        """Take a complaint. One of a reply that belongs to no session under way is none, nor is one that comes after
        its session has matured, whenever that is looked at."""
        key = self._of.get(event_id)
        session = None if key is None else self._open.get(key)
        if session is not None and at_ms < session.since_ms + self._whole_ms:
            session.complained.add(event_id)

    def matured(self, now_ms: int) -> list[Session]:
        """Return the sessions that are known whole by now, each once."""
        done = list(takewhile(lambda each: each[1].since_ms + self._whole_ms <= now_ms, self._open.items()))
        for key, _ in done:
            del self._open[key]
            self._over.put(key, None)
        return [Session(each.candidate, len(each.complained) / each.replies) for _, each in done]

    @property
    def _whole_ms(self) -> float:
        return 1_000 * (self.session_s + self.wait_s)
