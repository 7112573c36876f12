"""The detector of drift: descriptors, categories and texts share one budget and one threshold.

All bets on all of them are averaged with fixed weights, and the average is compared with the threshold: at least `arl`
events pass on average between false alarms, however all of this depends on each other, and a change that shows in
several of them adds up. Events that depend on their neighbours are judged in blocks, all three in the same ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import msgspec
import numpy as np

from monitor.describe.traits import COLUMNS, TEXT, Traits
from monitor.detectors import mixture
from monitor.detectors.blocks import Block, fill
from monitor.detectors.categories import Categories, learned
from monitor.detectors.episode import Over, steps
from monitor.detectors.interface import Change, Floats, Moment
from monitor.detectors.location_spread import LocationSpread
from monitor.detectors.mixture import Reached
from monitor.detectors.texts import Texts, Witness
from monitor.reference.derived import derived
from monitor.reference.frozen import Reference, ReferenceScorer, block_scores, scorer

DESCRIPTORS, TEXTS = "descriptors", TEXT
SHARES: Mapping[str, float] = {DESCRIPTORS: 0.6, **dict.fromkeys(COLUMNS, 0.2 / len(COLUMNS)), TEXTS: 0.2}
FOLLOWED = 4.0  # times as long lumps of texts count: a witness that saw one begin knows how it goes on

Detector = LocationSpread | Categories | Texts


class State(msgspec.Struct, frozen=True):
    """The bets, what the texts' are on, and the events of the unfinished block."""

    bets: mixture.State = mixture.State()
    witness: Witness = Witness()
    block: Block = Block()
    waiting: list[Traits] = []


@dataclass(frozen=True, slots=True)
class DriftChange:
    """A change, by which part it was found (`SHARES`), and the index of the event that completed the evidence. `each`
    names what moved with its statistic."""

    part: str
    change: Change
    end: int
    each: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """The detectors that a reference allows: `parts` by name, in the order of their bets."""

    arl: float  # steps: blocks
    ready: ReferenceScorer
    parts: dict[str, Detector]
    weights: Floats

    @property
    def nbytes(self) -> int:
        """Return the bytes of what it holds besides the scorer, about: fingerprints are the most of it."""
        texts = self.parts.get(TEXTS)
        return self.weights.nbytes + (texts.nbytes if isinstance(texts, Texts) else 0)

    def start(self) -> State:
        """Return the state in which nothing was seen."""
        texts = self.parts.get(TEXTS)
        return State(mixture.start(len(self.weights)), texts.witness() if isinstance(texts, Texts) else Witness())

    def update(
        self, state: State, scores: Floats, prints: Sequence[int], traits: Sequence[Traits], moments: Sequence[Moment]
    ) -> tuple[State, DriftChange | None]:
        """Take events in order: their normal scores, fingerprints, traits, ids and times. Return the first change."""
        state, transitions = self.follow(state, scores, prints, traits, moments)
        return state, next((each for each in transitions if isinstance(each, DriftChange)), None)

    def follow(
        self,
        state: State,
        scores: Floats,
        prints: Sequence[int],
        traits: Sequence[Traits],
        moments: Sequence[Moment],
        clear_events: int = 0,
    ) -> tuple[State, list[DriftChange | Over]]:
        """Take events in the same way. Return each change and each end of one: after so many quiet events; 0: never."""
        block, means, firsts, ends = fill(state.block, self.ready.block, scores, moments)
        full = block_scores(self.ready, means, [prints[end] for end in ends])
        events = [*state.waiting, *traits]
        whole = len(full) * self.ready.block
        witness, gains = self._gains(state.witness, full, events[:whole])
        after = steps(clear_events, self.ready.block) if clear_events else 0
        bets, transitions = mixture.advance(self.arl, self.weights, state.bets, gains, firsts, after)
        state = State(bets, witness, block, events[whole:])
        return state, [self._transition(each, ends[each.step]) for each in transitions]

    def evidence(self, state: State) -> float:
        """Return the statistic over the threshold."""
        return mixture.statistic(state.bets, self.weights) / self.arl

    def _gains(self, witness: Witness, scores: Floats, events: Sequence[Traits]) -> tuple[Witness, Floats]:
        """Return the gains of the blocks with these scores, which these events fill."""
        gains = []
        for name, part in self.parts.items():
            if isinstance(part, LocationSpread):
                gains.append(part.gains(scores))
            elif isinstance(part, Categories):
                gains.append(part.gains(list(map(attrgetter(name), events)), self.ready.block))
            else:
                witness, more = part.look(witness, [event.text for event in events], self.ready.block)
                gains.append(more)
        return witness, np.concatenate(gains, axis=1)

    def _transition(self, transition: Reached | Over, end: int) -> DriftChange | Over:
        return Over(end) if isinstance(transition, Over) else self._found(transition, end)

    def _found(self, found: Reached, end: int) -> DriftChange:
        low = 0
        for name, part in self.parts.items():
            high = low + len(part.weights)
            if found.bet < high:
                mine = Reached(found.step, found.statistic, found.since, found.bet - low, found.sums[low:high])
                change = part.change(mine)
                return DriftChange(name, change, end, tuple(zip(_names(name, part), change.each, strict=True)))
            low = high
        raise AssertionError(f"bet {found.bet}, expected one of {low}")


@derived()
def detectors(reference: Reference, arl_events: float) -> Drift:
    """Return the detectors for so many events between false alarms, at least; none for what swings with day or week
    (`monitor.reference.swings`)."""
    ready = scorer(reference)
    arl, names = arl_events / ready.block, tuple(reference.names)
    parts: dict[str, Detector] = {DESCRIPTORS: located(ready, names, arl_events)}
    for name, counts in reference.categories.items():
        if name in reference.swinging:
            continue
        block, left = _lumped(reference, name)
        parts[name] = learned(counts, arl=arl, block=block, inflation=left)
    if len(set(reference.texts)) > 1 and TEXTS not in reference.swinging:
        parts[TEXTS] = Texts(arl, tuple(reference.texts), *_lumped(reference, TEXTS, FOLLOWED))
    shares = np.array([SHARES[name] for name in parts])
    weights = [share * part.weights for share, part in zip(shares / shares.sum(), parts.values(), strict=True)]
    return Drift(arl, ready, parts, np.concatenate(weights))


def _lumped(reference: Reference, name: str, times: float = 1.0) -> tuple[int, float]:
    """Return as how many events one of this part's counts, and what dependence is left between the blocks in which they
    are judged: its own, where that is more than what descriptors show."""
    ready = scorer(reference)
    together = reference.lumps[name] * times if name in reference.lumps else 1.0
    left = float(ready.inflation.max(initial=1.0))
    return max(ready.block, math.ceil(together)), max(left, together / ready.block)


def located(ready: ReferenceScorer, names: Sequence[str], arl_events: float) -> LocationSpread:
    """Return the detector of the descriptors, its bets made smaller by what dependence the reference shows."""
    inflation, spreading = (ready.inflation * ready.wildness).tolist(), ready.spreading.tolist()
    zone = ready.dead_zone(arl_events)
    return LocationSpread(arl_events / ready.block, zone, tuple(names), tuple(inflation), tuple(spreading))


def _names(name: str, part: Detector) -> list[str]:
    if isinstance(part, LocationSpread):
        return list(part.names)
    if isinstance(part, Categories):
        return [f"{name}={category}" for category in part.names]
    return [name]
