"""The gate's checks for people: differences, intervals and needs in the unit of each."""

from __future__ import annotations

import re

from retrain.evaluation.checks import TIMES, Check, amount

MINUS = "\N{MINUS SIGN}"


def found(check: Check) -> str:
    """Return a check's difference."""
    return bare(check, check.estimate)


def between(check: Check) -> str:
    """Return a check's interval; of ratios the smaller end comes first."""
    low, high = (bare(check, end) for end in sorted((check.low, check.high), reverse=check.unit == TIMES))
    return f"{low.removesuffix(f' {check.unit}')} to {high}"


def needs(check: Check) -> str:
    """Return what the difference must be."""
    return f"{'less' if check.unit == TIMES else 'more'} than {bare(check, check.needed)}"


def state(check: Check) -> str:
    """Return whether the check has passed."""
    if check.passed is None:
        return "undecided" if check.holds_back else "too few rows to wait for"
    return "yes" if check.passed else "no"


def bare(check: Check, value: float) -> str:
    """Return a difference without the score's name, which stands above."""
    return re.sub(r"(?<!\w)-(?=\d)", MINUS, amount(check, value).removeprefix(f"{check.unit} "))


def bar(check: Check) -> dict[str, float]:
    """Return the check's interval as percent of a bar's width: no difference is its middle, the check itself its
    scale."""
    places = {"low": check.low, "high": check.high, "value": check.estimate, "needed": check.needed}
    scale = 1.15 * max(map(abs, places.values())) or 1.0
    return {name: round(50 + 50 * place / scale, 2) for name, place in places.items()}
