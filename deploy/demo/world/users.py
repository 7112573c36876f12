"""Users and model of a world: what users send back about an answer, and how sure the model is of it.

Most kinds are labelled at random: half of the users say what the answer should have been, whatever it was. In `thumbs`
a quarter of them give a thumb instead, whatever the answer was, and sometimes a mistaken one. In `complaints` users
choose when to speak, and what they send proves nothing alone: of one in a hundred right answers a thumb down, of eight
in a hundred wrong ones a correction.

>>> rng = Random(0)
>>> sum(feedback("complaints", rng, "refund", right=False) is not None for _ in range(1_000))
97
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

LabelKind = Literal["thumbs", "complaints", "sure"]

LABELLED = 0.5  # of the answers
RATED = 0.25  # of the answers
DOWN = {True: 0.04, False: 0.8}  # of thumbs on right and on wrong answers
COMPLAINTS = {True: 0.01, False: 0.08}  # of right and of wrong answers
VOLUNTEERED = frozenset({"complaints"})  # kinds whose users choose when to speak
SURE = 0.001  # a model that is always sure: its log-probability is never further from 0


@dataclass(frozen=True, slots=True)
class UserFeedback:
    """What a user sends back, in the gateway's fields."""

    label: str | None = None
    correction: str | None = None
    thumb: bool | None = None  # true: up


def feedback(kind: str, rng: Random, truth: str, *, right: bool) -> UserFeedback | None:
    """Return what the user sends back about an answer; None for nothing. `truth`: what it should have been."""
    chance = rng.random()
    if kind == "thumbs":
        return UserFeedback(thumb=chance >= RATED * DOWN[right]) if chance < RATED else None
    if kind == "complaints":
        complaint = UserFeedback(thumb=False) if right else UserFeedback(correction=truth)
        return complaint if chance < COMPLAINTS[right] else None
    return UserFeedback(label=truth) if chance < LABELLED else None


def log_probability(kind: str, rng: Random, *, right: bool) -> float:
    """Return the answer's mean log-probability: further from 0 where it is wrong, but for a model that is always
    sure."""
    if kind == "sure":
        return -SURE * rng.random()
    return -rng.expovariate(20.0 if right else 2.0)
