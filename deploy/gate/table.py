"""A verdict on two files for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deploy.gate.wording import files, headline, named, score, settled_by
from deploy.show.checks import between, found, needs, state
from retrain.harness.verdict import FileVerdict

HEADER = ("check", "difference", "interval", "needs", "rows", "passed")


def lines(verdict: FileVerdict) -> Iterator[str]:
    """Yield the verdict, line by line."""
    champion, candidate = files(verdict)
    yield headline(verdict)
    if more := settled_by(verdict):
        yield more
    yield ""
    yield f"champion   {score(verdict, verdict.champion.score):>8}  {champion}"
    yield f"candidate  {score(verdict, verdict.candidate.score):>8}  {candidate}"
    same = verdict.rows - verdict.better - verdict.worse
    counts = f"{verdict.better} better, {verdict.worse} worse, {same} the same"
    yield f"{verdict.rows} rows by {verdict.metric} ({verdict.kind}): {counts}"
    yield ""
    yield from aligned([HEADER, *_cells(verdict)])


def _cells(verdict: FileVerdict) -> Iterator[Sequence[str]]:
    for check in verdict.checks:
        yield named(check), found(check), between(check), needs(check), str(check.rows), state(check)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows of cells as lines with columns.

    >>> aligned([("a", "bb"), ("ccc", "d")])
    ['a    bb', 'ccc  d']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
