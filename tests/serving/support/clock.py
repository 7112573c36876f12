"""A clock that a test moves by hand."""

from __future__ import annotations


class ManualClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now
