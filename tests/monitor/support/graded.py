"""Losses as a graded metric gives them: between 0 and 1, close together."""

from __future__ import annotations

from numpy.random import Generator


def graded(rng: Generator, count: int, mean: float, sd: float) -> list[float]:
    """Draws losses of a beta distribution with this mean and standard deviation."""
    weight = mean * (1.0 - mean) / sd**2 - 1.0
    drawn: list[float] = rng.beta(mean * weight, (1.0 - mean) * weight, count).round(4).tolist()
    return drawn
