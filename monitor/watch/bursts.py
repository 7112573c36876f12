"""Bursts: what one sender repeats within minutes, which is no more evidence than the first of them.

A test that takes bursts of three near-identical messages for independent events fires after 219 of them where 10,000
were asked. But messages behind one long instruction are alike in most words, and are no repetitions of each other. So
likeness is measured on what differs: two messages of a sender are near where their distance is small against the
distance to what is usual at the alias now. What all of them share is in no distance.

A sender is a person, an end user or a conversation, where the client names one (`<key>/<pseudonym>`). An API key may
stand for thousands of people: its messages are a burst only where no other sender sent anything like them.

The messages kept last, and what senders sent last, are the state: bounded, JSON through msgspec. How messages are cut
into calls changes nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.describe.fingerprint import SUMMED
from monitor.rows import ScoreRows

Floats = NDArray[np.float64]

WITHIN_MS = 300_000  # between two messages: a retry, another try of an agent, an answer asked for again
MOST = 50  # messages: more in a row are no burst but how this sender asks
SENDERS_KEPT = 512
RECENT_KEPT = 64  # enough to hold a few messages behind each of a dozen instructions
USUAL = 8  # one in so many recent messages is at most as far away as the usual distance says
FINGERPRINT, TEXT = 8, (1 << 64) - 1  # bytes, bits
NEAR, NEAR_BITS = 0.2, 0.3  # share of the usual distance: a tenth of the words changed; of fingerprints one in twenty
FEW_WORDS = 6  # may differ at most, three changed ones: more say something else, however long the rest is


class Last(msgspec.Struct, frozen=True, array_like=True):
    """A sender's last message, and the burst that it belongs to: the number of its first message, and how many."""

    time_ms: int
    sketch: bytes
    began: int
    messages: int


class Bursts(msgspec.Struct, frozen=True):
    """`recent`: sketches of the messages kept last; `kept`: how many ever were, which numbers them."""

    senders: dict[str, Last] = {}  # the last sender is last
    recent: list[bytes] = []
    kept: int = 0


def sketches(rows: ScoreRows) -> list[bytes]:
    """Return what stands for each prompt: the summed signs of its words, else its fingerprint; none without either."""
    if rows.sums and all(len(each) == 2 * SUMMED for each in rows.sums):
        return rows.sums
    return [(text & TEXT).to_bytes(FINGERPRINT, "big") for text in rows.fingerprints]


def first_of_bursts(
    bursts: Bursts, senders: Sequence[str], times_ms: Sequence[int], sketches: Sequence[bytes]
) -> tuple[list[bool], Bursts]:
    """Return which messages start a burst or stand alone, and the state after them. Without sketches all do."""
    if not sketches:
        return [True] * len(senders), bursts
    looking = _Looking(bursts, senders, times_ms, sketches)
    fresh = [looking.take(i) for i in range(len(senders))]
    return fresh, looking.bursts()


_Held = tuple[int, int, int, int]  # while one call works: as `Last`, with the sketch's place among the vectors


class _Looking:
    """A state while one call works on it. The cheap question comes first, for all messages at once: is a message near
    its sender's last one even if all words count? Only of those is asked what is usual."""

    def __init__(
        self, bursts: Bursts, senders: Sequence[str], times_ms: Sequence[int], sketches: Sequence[bytes]
    ) -> None:
        size = len(sketches[0])
        recent = [one for one in bursts.recent if len(one) == size]
        before = ((name, bursts.senders.get(name)) for name in dict.fromkeys(senders))
        known = {name: last for name, last in before if last is not None and len(last.sketch) == size}
        self.senders, self.times_ms = senders, times_ms
        self.near, self.few = (NEAR_BITS, math.inf) if size == FINGERPRINT else (NEAR, float(FEW_WORDS * SUMMED))
        self.sketches = [*recent, *(last.sketch for last in known.values()), *sketches]
        self.vectors, self.offset = _vectors(self.sketches), len(self.sketches) - len(sketches)
        self.window, self.kept = list(range(len(recent))), bursts.kept
        self.held: dict[str, Last | _Held] = dict(bursts.senders)
        for place, (name, last) in enumerate(known.items(), len(recent)):
            self.held[name] = last.time_ms, place, last.began, last.messages
        self.near_last = self._near_last(known)

    def take(self, i: int) -> bool:
        """Check whether message `i` is not a repetition."""
        place, sender = self.offset + i, self.senders[i]
        last, near = self.held.pop(sender, None), self.near_last[i]
        if near >= 0.0 and isinstance(last, tuple) and self._repeats(place, last, near):
            _, _, began, messages = last
            self.held[sender] = self.times_ms[i], place, began, messages + 1
            return False
        self.held[sender] = self.times_ms[i], place, self.kept, 1
        if len(self.held) > SENDERS_KEPT:
            del self.held[next(iter(self.held))]
        self.window.append(place)
        if len(self.window) > RECENT_KEPT:
            del self.window[0]
        self.kept += 1
        return True

    def bursts(self) -> Bursts:
        """Return the state as it is now."""
        senders = {name: self._last(*one) if isinstance(one, tuple) else one for name, one in self.held.items()}
        return Bursts(senders, [self.sketches[place] for place in self.window], self.kept)

    def _last(self, time_ms: int, place: int, began: int, messages: int) -> Last:
        return Last(time_ms, self.sketches[place], began, messages)

    def _near_last(self, known: dict[str, Last]) -> list[float]:
        """Return the squared distance of each message to its sender's last one; -1 where that is far in words or
        time."""
        first = self.offset - len(known)
        times = {name: (last.time_ms, place) for place, (name, last) in enumerate(known.items(), first)}
        before = np.full(len(self.senders), -1, dtype=np.int64)
        for i, (sender, time_ms) in enumerate(zip(self.senders, self.times_ms, strict=True)):
            then, place = times.get(sender, (0, -1))
            if place >= 0 and abs(time_ms - then) <= WITHIN_MS:
                before[i] = place
            times[sender] = time_ms, self.offset + i
        mine, theirs = self.vectors[self.offset :], self.vectors[before]
        apart = _squares(mine - theirs)
        most = np.minimum(self.near * (_squares(mine) + _squares(theirs)), self.few)
        near: list[float] = np.where((before >= 0) & (apart <= most), apart, -1.0).tolist()
        return near

    def _repeats(self, place: int, last: _Held, apart: float) -> bool:
        _, _, began, messages = last
        if messages >= MOST:
            return False
        first = self.kept - len(self.window)
        others = [at for number, at in enumerate(self.window, first) if number != began]
        if not others:
            return True
        distances = _squares(self.vectors[others] - self.vectors[place])
        rank = len(others) // USUAL if "/" in self.senders[place - self.offset] else 0
        usual = float(np.partition(distances, rank)[rank])
        return usual > 0.0 and apart <= self.near * usual


def _squares(rows: Floats) -> Floats:
    """Return the squared length of each; of whole numbers, so that no order of the sum matters."""
    lengths: Floats = np.einsum("ij,ij->i", rows, rows)
    return lengths


def _vectors(sketches: Sequence[bytes]) -> Floats:
    """One row a sketch: sums as they are, the bits of a fingerprint as signs."""
    joined, size = b"".join(sketches), len(sketches[0])
    kind: Any = np.uint8 if size == FINGERPRINT else "<i2"
    values = np.frombuffer(joined, kind).reshape(len(sketches), -1)
    if size == FINGERPRINT:
        return np.unpackbits(values, axis=1).astype(np.float64) * 2.0 - 1.0
    return values.astype(np.float64)
