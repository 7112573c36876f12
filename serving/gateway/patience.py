"""How long an answer may take: as long as the operator allows, or as the client has time, whichever is less."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from serving.gateway.errors import STAY, wrong

TIMEOUT_HEADER = "x-homeostat-timeout-ms"
OPERATORS = "gateway.timeout_s"
SHORTEST_S = 0.001


@dataclass(frozen=True, slots=True)
class Patience:
    """The time for an answer: `limit_s` in all, `left_s` of it for this try. `name`: what set the limit.

    >>> print(Patience.of({"x-homeostat-timeout-ms": "1500"}, 120.0))
    1.5 s (the request's x-homeostat-timeout-ms)
    >>> print(Patience.of({}, 120.0))
    120 s (gateway.timeout_s)
    """

    limit_s: float
    left_s: float
    name: str = OPERATORS

    @classmethod
    def of(cls, headers: Mapping[str, str], most_s: float) -> Patience:
        """Return the lesser of the client's and the operator's limit. Raise ApiError where the client's is no time."""
        asked = headers.get(TIMEOUT_HEADER)
        if asked is None:
            return cls(most_s, most_s)
        given = _seconds(asked)
        if not 0 < given < math.inf:
            raise wrong(TIMEOUT_HEADER, asked, "a positive number of milliseconds")
        return cls(given, given, f"the request's {TIMEOUT_HEADER}") if given < most_s else cls(most_s, most_s)

    def with_left(self, left_s: float) -> Patience:
        """Return it with so much left, at least a moment."""
        return Patience(self.limit_s, max(left_s, SHORTEST_S), self.name)

    @property
    def spent(self) -> Mapping[str, str]:
        """Return the headers of the error that no answer came in time. A request that took all the time that the
        operator allows would take as long of the next replica: a client's library is not to send it again by itself."""
        return STAY if self.name == OPERATORS else {}

    def __str__(self) -> str:
        return f"{self.limit_s:.3g} s ({self.name})"


def _seconds(milliseconds: str) -> float:
    try:
        return float(milliseconds) / 1_000
    except ValueError:
        return math.nan
