"""The gate's verdict on two files: the claims that an operator makes, each by the same tests as in the loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from retrain.evaluation import groups, ratios
from retrain.evaluation.checks import (
    POINTS,
    REGRESSION,
    TARGET,
    TIMES,
    Check,
    Question,
    Scores,
    Status,
    checked,
    sentence,
    silence,
    status,
    telling,
)
from retrain.harness.pairing import PairedFiles, PairedRow, paired
from retrain.harness.samples import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a candidate must show; margins are in the score's own unit."""

    gain: float = 0.0  # by which it must be better
    margin: float | None = None  # by which it may be worse, instead: then better is not asked
    regression_margin: float = 0.1  # by which it may be worse on rows of that part
    group_margin: float = 0.1  # and on each group
    least: int = 30  # rows with which a group of less than a tenth can end a candidate by itself
    also: Mapping[str, float] = field(default_factory=dict)  # a further score from 0 to 1 -> by which it may be worse
    limits: Mapping[str, float] = field(default_factory=dict)  # a number -> how many times the champion's it may be
    alpha: float = 0.05  # chance that a candidate passes that should not


class Side(msgspec.Struct, frozen=True):
    """One of the two files."""

    file: str
    score: float  # mean over all rows, in the score's own unit


class FileVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on two files, with all that a reader needs."""

    status: Status
    reason: str
    candidate: Side
    champion: Side
    kind: str  # what wrote the files
    metric: str
    low: float  # the score's range
    high: float
    rows: int  # that were compared: units, where rows have them
    better: int  # rows on which the candidate scored higher
    worse: int
    alpha: float
    checks: list[Check]


def judged(
    champion: Path, candidate: Path, reading: Reading, claims: Claims, healthy: tuple[Path, Path] | None = None
) -> tuple[FileVerdict, PairedFiles]:
    """Return the verdict and the rows that it rests on; `healthy`: both sides' files of what the champion could do.
    Raise ValueError for files that cannot be compared, OSError."""
    found = _with(paired(champion, candidate, reading), healthy, reading)
    if all(each.part == REGRESSION for each in found.rows):
        raise ValueError(f"{candidate}: all rows have the part regression, expected some of target, or no parts")
    asked = list(questions(found, reading, claims))
    checks = [checked(each, claims.alpha, _scale(each.unit, reading)) for each in asked]
    silent = [f"{each.name}: {why}" for each in asked if (why := silence(each))]
    small = groups.small(_groups(found.rows), len(found.rows))
    together = [f"small groups, looked at together: {groups.listed(each)}" for each in small.values()]
    pairs = [each.scores for each in found.rows]
    return (
        FileVerdict(
            status=status(checks),
            reason="; ".join([*map(sentence, telling(checks)), *silent, *together]),
            candidate=Side(str(candidate), _mean([mine for mine, _ in pairs], reading)),
            champion=Side(str(champion), _mean([theirs for _, theirs in pairs], reading)),
            kind=found.kind,
            metric=found.metric,
            low=reading.low,
            high=reading.high,
            rows=len(pairs),
            better=sum(mine > theirs for mine, theirs in pairs),
            worse=sum(mine < theirs for mine, theirs in pairs),
            alpha=claims.alpha,
            checks=checks,
        ),
        found,
    )


def questions(found: PairedFiles, reading: Reading, claims: Claims) -> Iterator[Question]:
    """Yield the claims about the rows."""
    width = reading.high - reading.low
    own = _unit(found, reading)
    parts = {part: [each.scores for each in found.rows if each.part == part] for part in (TARGET, REGRESSION)}
    needed, note = (claims.gain, "better") if claims.margin is None else (-claims.margin, "not worse")
    yield Question(TARGET, parts[TARGET], needed / width, note, unit=own, every_zero=False)
    if parts[REGRESSION]:
        worse = -claims.regression_margin / width
        yield Question(REGRESSION, parts[REGRESSION], worse, "not worse on what it could do", unit=own)
    rules = groups.GroupRules(len(found.rows), claims.group_margin / width, claims.least, claims.alpha, own)
    yield from groups.questions(_groups(found.rows), {}, rules)
    for name, margin in claims.also.items():
        yield Question(name, [each.numbers[name] for each in found.rows], -margin, "not worse by this")
    for name, ratio in claims.limits.items():
        pairs = [each.numbers[name] for each in found.rows]
        yield Question(name, ratios.shares(pairs), ratios.needed(ratio), "not much more", unit=TIMES)


def _with(found: PairedFiles, healthy: tuple[Path, Path] | None, reading: Reading) -> PairedFiles:
    """Return the rows with those of two further files, which are all of the part regression."""
    if healthy is None:
        return found
    more = paired(*healthy, reading)
    if more.metric != found.metric:
        raise ValueError(f"{healthy[0]}: the score is {more.metric!r}, expected {found.metric!r} as in the other files")
    return replace(found, rows=[*found.rows, *(replace(each, part=REGRESSION) for each in more.rows)])


def _groups(rows: Sequence[PairedRow]) -> dict[str, Scores]:
    found: defaultdict[str, Scores] = defaultdict(list)
    for each in rows:
        for tag, value in each.groups.items():
            found[f"{tag}={value}"].append(each.scores)
    return dict(found)


def _unit(found: PairedFiles, reading: Reading) -> str:
    """Return points where a score is right or wrong, else the score's name."""
    yes_or_no = all(each in (0.0, 1.0) for row in found.rows for each in row.scores)
    return POINTS if yes_or_no and (reading.low, reading.high) == (0.0, 1.0) else found.metric


def _scale(unit: str, reading: Reading) -> float | None:
    return None if unit in (POINTS, TIMES) else reading.high - reading.low


def _mean(scores: Sequence[float], reading: Reading) -> float:
    return round(reading.low + (reading.high - reading.low) * sum(scores) / len(scores), 6)
