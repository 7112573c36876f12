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
        self.draw, self.rng, self.copies, self.told = draw, rng, copies, 0

    def take(self, events: int) -> Stretch:
        self.told += events
        return Stretch(self.draw(self.rng, (events, self.copies)), list(range(self.told - events, self.told)))


class Autocorrelated:
    """AR(1) with variance one."""

    def __init__(self, rho: float, rng: Generator, copies: int) -> None:
        self.rho, self.rng, self.told = rho, rng, 0
        self.last = rng.standard_normal(copies)

    def take(self, events: int) -> Stretch:
        values = self.rng.standard_normal((events, len(self.last))) * np.sqrt(1.0 - self.rho**2)
        for row in values:
            row += self.rho * self.last
            self.last = row
        self.last = self.last.copy()
        self.told += events
        return Stretch(values, list(range(self.told - events, self.told)))


class Bursts:
    """Each client that speaks says nearly the same so many times in a row."""

    def __init__(self, size: int, rng: Generator, copies: int) -> None:
        self.size, self.rng, self.copies, self.told = size, rng, copies, 0

    def take(self, events: int) -> Stretch:
        """Whole bursts; about as many events as asked."""
        bursts = max(1, events // self.size)
        values = np.repeat(self.rng.standard_normal((bursts, self.copies)), self.size, axis=0)
        values += 0.05 * self.rng.standard_normal(values.shape)
        clients = np.repeat(self.rng.integers(0, 200, bursts), self.size).tolist()
        texts = np.repeat(self.rng.integers(0, 2**63, bursts, dtype=np.uint64), self.size).tolist()
        self.told += len(values)
        nearly = [text ^ (1 << k % self.size) for k, text in enumerate(texts)]  # a bit differs
        times = list(range(self.told - len(values), self.told))
        return Stretch(values, times, [f"client-{one}" for one in clients], nearly)


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
        self.wave, self.a_day, self.rng, self.copies, self.told = wave, a_day, rng, copies, 0

    def take(self, events: int) -> Stretch:
        days = np.arange(self.told, self.told + events) / self.a_day
        self.told += events
        values = self.rng.standard_normal((events, self.copies)) + self.wave.at(days % 1.0)[:, None]
        return Stretch(values, (days * DAY_MS).astype(np.int64).tolist())


def independent(draw: Draw) -> Make:
    return lambda rng, copies: Independent(draw, rng, copies)


def autocorrelated(rho: float) -> Make:
    return lambda rng, copies: Autocorrelated(rho, rng, copies)


def bursts(size: int) -> Make:
    return lambda rng, copies: Bursts(size, rng, copies)


def daily(wave: Wave, a_day: int) -> Make:
    return lambda rng, copies: Daily(wave, a_day, rng, copies)


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
