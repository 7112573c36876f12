"""Streams of events with known truth: as many independent copies at once as there are columns.

A world goes on from where it was: what follows a reference depends on it as it would in life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draw = Callable[[Generator, tuple[int, int]], Floats]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Events in order: one row an event, one column a copy of the stream. All copies share times, clients, texts."""

    values: Floats
    times_ms: list[int]
    clients: list[str] = field(default_factory=list)
    texts: list[int] = field(default_factory=list)


class World(Protocol):
    def take(self, events: int) -> Stretch:
        """The next ones."""


Make = Callable[[Generator, int], World]  # from a source of chance and the number of copies


class Independent:
    """Events that know nothing of each other."""

    def __init__(self, draw: Draw, rng: Generator, copies: int) -> None:
        self.draw, self.rng, self.copies, self.drawn = draw, rng, copies, 0

    def take(self, events: int) -> Stretch:
        self.drawn += events
        return Stretch(self.draw(self.rng, (events, self.copies)), list(range(self.drawn - events, self.drawn)))


class Autocorrelated:
    """AR(1) with variance one."""

    def __init__(self, rho: float, rng: Generator, copies: int) -> None:
        self.rho, self.rng, self.drawn = rho, rng, 0
        self.last = rng.standard_normal(copies)

    def take(self, events: int) -> Stretch:
        values = self.rng.standard_normal((events, len(self.last))) * np.sqrt(1.0 - self.rho**2)
        for row in values:
            row += self.rho * self.last
            self.last = row
        self.last = self.last.copy()
        self.drawn += events
        return Stretch(values, list(range(self.drawn - events, self.drawn)))


class BurstWorld:
    """Each client that speaks says nearly the same so many times in a row."""

    def __init__(self, size: int, rng: Generator, copies: int) -> None:
        self.size, self.rng, self.copies, self.drawn = size, rng, copies, 0

    def take(self, events: int) -> Stretch:
        """Whole bursts; about as many events as asked."""
        bursts = max(1, events // self.size)
        values = np.repeat(self.rng.standard_normal((bursts, self.copies)), self.size, axis=0)
        values += 0.05 * self.rng.standard_normal(values.shape)
        clients = np.repeat(self.rng.integers(0, 200, bursts), self.size).tolist()
        texts = np.repeat(self.rng.integers(0, 2**63, bursts, dtype=np.uint64), self.size).tolist()
        self.drawn += len(values)
        nearly = [text ^ (1 << k % self.size) for k, text in enumerate(texts)]  # a bit differs
        times = list(range(self.drawn - len(values), self.drawn))
        return Stretch(values, times, [f"client-{one}" for one in clients], nearly)


class Garch:
    """GARCH(1, 1) with variance one: large moves follow large ones, of either sign; no level depends on another."""

    def __init__(self, reaction: float, persistence: float, rng: Generator, copies: int) -> None:
        self.reaction, self.persistence, self.rng, self.drawn = reaction, persistence, rng, 0
        self.variance, self.last = np.ones(copies), rng.standard_normal(copies)
        self.take(500)  # far from where it began

    def take(self, events: int) -> Stretch:
        values = self.rng.standard_normal((events, len(self.last)))
        rest = 1.0 - self.reaction - self.persistence
        for row in values:
            self.variance = rest + self.reaction * self.last**2 + self.persistence * self.variance
            row *= np.sqrt(self.variance)
            self.last = row
        self.last = self.last.copy()
        self.drawn += events
        return Stretch(values, list(range(self.drawn - events, self.drawn)))


class Regimes:
    """Calm and wild times by turns, each of them so many events on average."""

    def __init__(self, wild: float, length: float, rng: Generator, copies: int) -> None:
        self.wild, self.length, self.rng, self.drawn = wild, length, rng, 0
        self.now = rng.random(copies) < 0.5

    def take(self, events: int) -> Stretch:
        turns = self.rng.random((events, len(self.now))) < 1.0 / self.length
        wild = np.logical_xor.accumulate(np.concatenate((self.now[None], turns)))[1:]
        self.now = wild[-1]
        self.drawn += events
        values = self.rng.standard_normal(wild.shape) * np.where(wild, self.wild, 1.0)
        return Stretch(values, list(range(self.drawn - events, self.drawn)))


class QuietNights:
    """Half of each day varies less; the mean never moves."""

    def __init__(self, quiet: float, a_day: int, rng: Generator, copies: int) -> None:
        self.quiet, self.a_day, self.rng, self.copies, self.drawn = quiet, a_day, rng, copies, 0

    def take(self, events: int) -> Stretch:
        days = np.arange(self.drawn, self.drawn + events) / self.a_day
        self.drawn += events
        values = self.rng.standard_normal((events, self.copies)) * np.where(days % 1.0 < 0.5, 1.0, self.quiet)[:, None]
        return Stretch(values, (days * DAY_MS).astype(np.int64).tolist())


class Sessions:
    """So many clients at a time, each with a level of its own for as long as it stays: so many events on average."""

    def __init__(self, spread: float, clients: int, length: float, rng: Generator, copies: int) -> None:
        self.spread, self.length, self.rng, self.drawn = spread, length, rng, 0
        self.levels = spread * rng.standard_normal((clients, copies))

    def take(self, events: int) -> Stretch:
        clients, copies = self.levels.shape
        speaks = self.rng.integers(0, clients, events)
        leaves = self.rng.random(events) < 1.0 / self.length
        values = self.rng.standard_normal((events, copies))
        for row, client, leaving in zip(values, speaks.tolist(), leaves.tolist(), strict=True):
            row += self.levels[client]
            if leaving:
                self.levels[client] = self.spread * self.rng.standard_normal(copies)
        self.drawn += events
        return Stretch(values, list(range(self.drawn - events, self.drawn)))


@dataclass(frozen=True, slots=True)
class Wave:
    """A day's rhythm: how far the mean moves, in sigmas, at a share of the day."""

    amplitude: float
    office: bool = False  # nine to five instead of a sine

    def at(self, share: Floats) -> Floats:
        shape: Floats = np.sin(2.0 * np.pi * share)
        if self.office:
            shape = ((share > 9 / 24) & (share < 17 / 24)).astype(np.float64)
        return self.amplitude * shape


class Daily:
    """Independent noise around a rhythm of the day."""

    def __init__(self, wave: Wave, a_day: int, rng: Generator, copies: int) -> None:
        self.wave, self.a_day, self.rng, self.copies, self.drawn = wave, a_day, rng, copies, 0

    def take(self, events: int) -> Stretch:
        days = np.arange(self.drawn, self.drawn + events) / self.a_day
        self.drawn += events
        values = self.rng.standard_normal((events, self.copies)) + self.wave.at(days % 1.0)[:, None]
        return Stretch(values, (days * DAY_MS).astype(np.int64).tolist())


def independent(draw: Draw) -> Make:
    return lambda rng, copies: Independent(draw, rng, copies)


def autocorrelated(rho: float) -> Make:
    return lambda rng, copies: Autocorrelated(rho, rng, copies)


def bursts(size: int) -> Make:
    return lambda rng, copies: BurstWorld(size, rng, copies)


def daily(wave: Wave, a_day: int) -> Make:
    return lambda rng, copies: Daily(wave, a_day, rng, copies)


def garch(reaction: float, persistence: float) -> Make:
    return lambda rng, copies: Garch(reaction, persistence, rng, copies)


def regimes(wild: float, length: float) -> Make:
    return lambda rng, copies: Regimes(wild, length, rng, copies)


def quiet_nights(quiet: float, a_day: int) -> Make:
    return lambda rng, copies: QuietNights(quiet, a_day, rng, copies)


def sessions(spread: float, clients: int, length: float) -> Make:
    return lambda rng, copies: Sessions(spread, clients, length, rng, copies)


def correlated(columns: int, rho: float) -> Make:
    """Copies in groups of so many columns with this correlation between any two of a group."""

    def draw(rng: Generator, shape: tuple[int, int]) -> Floats:
        shared = rng.standard_normal((shape[0], shape[1] // columns))
        own = rng.standard_normal(shape)
        mixed: Floats = np.sqrt(rho) * np.repeat(shared, columns, axis=1) + np.sqrt(1.0 - rho) * own
        return mixed

    return independent(draw)


GAUSSIAN = independent(lambda rng, shape: rng.standard_normal(shape))
NULLS: dict[str, Make] = {
    "Gaussian": GAUSSIAN,
    "heavy tails (t, 2 d.f.)": independent(lambda rng, shape: rng.standard_t(2, shape)),
    "five tied levels": independent(lambda rng, shape: rng.binomial(4, 0.3, shape).astype(np.float64)),
    "bounded (beta)": independent(lambda rng, shape: rng.beta(0.5, 2.0, shape)),
}
DEPENDENT: dict[str, Make] = {f"AR(1) {rho}": autocorrelated(rho) for rho in (0.2, 0.4, 0.6)}
BURSTS: dict[str, Make] = {f"bursts of {size}": bursts(size) for size in (3, 10)}
SPREADS: dict[str, Make] = {
    "GARCH(0.1, 0.85)": garch(0.1, 0.85),
    "GARCH(0.2, 0.75)": garch(0.2, 0.75),
    "regimes of 100, x2": regimes(2.0, 100.0),
    "regimes of 300, x1.5": regimes(1.5, 300.0),
    "quiet nights, x0.5, 500 a day": quiet_nights(0.5, 500),
    "quiet nights, x0.7, 1,000 a day": quiet_nights(0.7, 1_000),
    "clients with levels, 0.5 sigma, 10 of 30": sessions(0.5, 10, 30.0),
    "clients with levels, 1 sigma, 20 of 20": sessions(1.0, 20, 20.0),
}
