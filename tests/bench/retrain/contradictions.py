"""Right answers in free text that are not believed, and wrong ones that are:
`python -m tests.bench.retrain --only contradictions [--quick]`.

Questions of five kinds, whose answers depend on a day, a number, a name, a date, or a "without". Several people label
them; of some questions one person gives an answer that belongs to another: to the very question that others answered,
or to the same in other words. All are parted by what ships (`parted`), with and without rows of the healthy time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from retrain.data.agreement.quarantine import parted
from retrain.data.example import REHEARSAL, Example
from retrain.data.likeness import Likeness
from tests.bench.retrain.goals import figure
from tests.bench.tools.figures import Figure
from tests.retrain.support.questions import KINDS, WRAPS, Asked, Wrap, answered, answered_row

ROWS, PAST, WRONG, SEEDS = 60, 120, 6, 3  # of a kind: fresh ones, of the healthy time, wrong ones
FEW = 8  # questions, asked often: of these several people give the right answer
PEOPLE = (1, 2, 3, 8, 40)


def measured(quick: bool) -> list[Figure]:
    """Shares of all kinds and numbers of people: of right answers kept out, and of wrong ones believed."""
    seeds = range(1 if quick else SEEDS)
    return [
        *(_right(name, wrap, seeds) for name, wrap in WRAPS.items()),
        _wrong("the same question", seeds, again=True),
        _wrong("the same in other words", seeds, again=False),
    ]


def _right(name: str, wrap: Wrap, seeds: Sequence[int]) -> Figure:
    out, of = Counter[str](), 0
    for seed in seeds:
        for people in PEOPLE:
            for kind in KINDS:
                for past in (0, PAST):
                    drawn = Asked(kind, f"{seed} {people} {past}")
                    fresh = answered(drawn, ROWS, people, wrap)
                    healthy = answered(drawn, past, people, wrap, REHEARSAL)
                    out.update(row.quarantined for row in _parted(fresh, healthy))
                    of += len(fresh)
    why = ", ".join(f"{count} {reason}" for reason, count in out.most_common())
    return figure(f"right answers kept out, {name}", 100 * out.total() / of, "%", note=f"of {of}: {why or 'none'}")


def _wrong(name: str, seeds: Sequence[int], *, again: bool) -> Figure:
    """The share of wrong answers that are believed: given `again` to a question that others answered, or to the same in
    other words; each by one person, where at least three gave the right one."""
    missed = of = 0
    for seed in seeds:
        for kind in KINDS:
            drawn = Asked(kind, f"{seed} {again}", FEW)
            good = answered(drawn, ROWS, 40, WRAPS["bare"])
            known = Counter(row.completion for row in good)
            sure = [row for row in good if known[row.completion] >= 4][:: max(1, ROWS // WRONG)]
            right = {drawn.answer(pair): pair for pair in drawn.pairs}
            bad = [_contradiction(drawn, row, right[row.completion], number, again) for number, row in enumerate(sure)]
            gone = {row.id for row in _parted([*good, *bad], [])}
            missed += sum(row.id not in gone for row in bad)
            of += len(bad)
    return figure(f"wrong answers believed, {name}", 100 * missed / of, "%", note=f"of {of}")


def _contradiction(drawn: Asked, row: Example, pair: tuple[str, str], number: int, again: bool) -> Example:
    text = row.text if again else drawn.words(pair)
    return answered_row(f"wrong-{number}", text, drawn.wrong(pair), f"app/wrong-{number}", ROWS + number, WRAPS["bare"])


def _parted(fresh: Sequence[Example], healthy: Sequence[Example]) -> list[Example]:
    return parted(fresh, healthy, Likeness.of(fresh, healthy, (), ()))[1]
