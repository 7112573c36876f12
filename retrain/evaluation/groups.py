"""Groups of rows by a tag's value: which are too many to be harmed, and which are too few to wait for.

One with a tenth of the rows, of both parts together, holds a candidate back until it is shown not to be worse off. The
smaller ones of a tag are looked at together, as its "other"; where these are a tenth, they hold back too. A smaller one
of some size is looked at by itself as well, and can only end a candidate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from retrain.evaluation.checks import POINTS, Question, Scores, passed
from retrain.evaluation.missing import MissingPairs

SHARE = 0.1  # of the rows: a group with so many holds back
NAMED = 5  # groups that a sentence names
NOTE = "not worse for this group"


class GroupRules(NamedTuple):
    """How much worse a group may be, and of what the groups are a part."""

    rows: int  # of both parts
    margin: float
    least: int  # rows with which a smaller group is looked at by itself
    alpha: float
    unit: str = POINTS


def questions(groups: Mapping[str, Scores], missing: Mapping[str, MissingPairs], rules: GroupRules) -> list[Question]:
    """Return the claims about the groups, and of those that are looked at by the way only the failed ones.

    >>> rows = {"language=en": [(1.0, 1.0)] * 90, "language=de": [(0.0, 1.0)] * 6, "language=fr": [(1.0, 1.0)] * 4}
    >>> [(each.name, each.holds_back) for each in questions(rows, {}, GroupRules(100, 0.25, 30, 0.05))]
    [('language=en', True), ('language: other', True)]
    """
    large = {name: scores for name, scores in sorted(groups.items()) if _large(len(scores), rules.rows)}
    return [
        *(_question(name, scores, missing.get(name, MissingPairs()), NOTE, rules) for name, scores in large.items()),
        *_others(groups, missing, rules),
        *_ended(groups, missing, rules),
    ]


def small(groups: Mapping[str, Scores], rows: int) -> dict[str, dict[str, Scores]]:
    """Return the groups that are too small to hold back, by tag: each is a part of its tag's "other"."""
    found: defaultdict[str, dict[str, Scores]] = defaultdict(dict)
    for name, scores in sorted(groups.items()):
        if not _large(len(scores), rows):
            found[name.partition("=")[0]][name] = scores
    return dict(found)


def listed(groups: Mapping[str, Scores]) -> str:
    """Return the groups with their rows, the first few by name."""
    found = [f"{name} ({len(scores)})" for name, scores in groups.items()]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return ", ".join([*found[:NAMED], *more])


def _others(groups: Mapping[str, Scores], missing: Mapping[str, MissingPairs], rules: GroupRules) -> Iterator[Question]:
    for tag, members in small(groups, rules.rows).items():
        scores = list(chain.from_iterable(members.values()))
        lacking = sum((missing.get(name, MissingPairs()) for name in members), MissingPairs())
        yield _question(f"{tag}: other", scores, lacking, f"not worse for small groups: {listed(members)}", rules)


def _ended(groups: Mapping[str, Scores], missing: Mapping[str, MissingPairs], rules: GroupRules) -> list[Question]:
    members = chain.from_iterable(each.items() for each in small(groups, rules.rows).values())
    alone = [
        _question(name, scores, missing.get(name, MissingPairs()), NOTE, rules)
        for name, scores in members
        if len(scores) >= rules.least
    ]
    return [each for each in alone if passed(each, rules.alpha) is False]


def _question(name: str, scores: Scores, missing: MissingPairs, note: str, rules: GroupRules) -> Question:
    return Question(name, scores, -rules.margin, note, missing, _large(len(scores), rules.rows), rules.unit)


def _large(count: int, rows: int) -> bool:
    """Check that a group holds back: it has its share of the rows, or none that could be scored at all."""
    return not count or count >= SHARE * rows


def members(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return tag and value of the groups among the names of checks.

    >>> members(["target", "language=de", "language: other"])
    [('language', 'de')]
    """
    return [(tag, value) for tag, equals, value in (name.partition("=") for name in names) if equals]
