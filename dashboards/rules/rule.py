"""The shape of a rule.

Texts name a label as `<alias>`, the figure that matters as `<amount>`, and its beginning as `<since>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashboards.promql import first_seen

Severity = Literal["critical", "warning"]
VERSION = ("alias", "version")
SUBJECT = (*VERSION, "about")  # a flag, a group: each has alarms of its own, and pages of its own
SHARE = "humanizePercentage"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number in a rule's text: the value of `expression` for the rule's labels; without one, the rule's own value.
    `form`: the template function that writes it."""

    expression: str = ""
    form: str = "humanize"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that fires while `expression` is above zero for some series, for at least `for_`. `by`: the labels of its
    series."""

    uid: str
    title: str
    expression: str
    by: tuple[str, ...]
    severity: Severity
    summary: str
    do: str
    for_: str = "0s"
    amount: Figure = Figure()
    onset: str = ""  # an expression; without one, when the rule's own was first above zero

    @property
    def since(self) -> Figure:
        """The time when it began."""
        return Figure(self.onset or first_seen(self.expression), "humanizeTimestamp")
