"""Labels that are not believed: kept out of a dataset's other parts, with the reason, until an operator looks at them.

Looked at are classes, whose labels can be compared; no two answers in free text are the same. Which label is right is
not known here: what counts is what other people say of like requests (`opinions`). A row is kept out where people
answer its very question otherwise, where no other person labels like requests so and most agree on another label, and
where its labeller stands alone far more often than others do and no other person confirms it: one who floods wrong
labels does not teach, whatever the share of the rows. Reviewers and downstream systems overrule others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from retrain.data.agreement.conflicts import conflicts
from retrain.data.agreement.neighbours import vectors
from retrain.data.agreement.opinions import Opinion, alone_share, opinions
from retrain.data.agreement.telling import Telling
from retrain.data.classes import classes
from retrain.data.example import Example
from retrain.data.likeness import Likeness

UPHELD = "an operator keeps it out"
UNLIKE = "its label is unlike those of all requests like it"
ALONE = "its labeller stands alone too often, and nobody confirms it"
AGAINST = 3  # people who agree on one other label, for a single label to be kept out
FEWEST = 12  # labels of one labeller that others' can be compared with
EXCESS = 0.2  # of a labeller's labels: so many more must stand alone than of the others'
CHANCE = 1e-4  # that a labeller like the others stands alone so often, over all labellers
FEW = 3  # people; among fewer, the labels of the healthy time count as one person's
PAST = "the healthy time"
NAMED = 3  # labellers that an error names


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows on which an operator has decided, by id."""

    released: Set[str] = frozenset()  # believed, whatever others say
    upheld: Set[str] = frozenset()  # never believed


NOTHING_SETTLED = Settled()


def parted(
    rows: Sequence[Example], healthy: Sequence[Example], likeness: Likeness, settled: Settled = NOTHING_SETTLED
) -> tuple[list[Example], list[Example]]:
    """Return the rows that are believed, and those that are not, each with its reason; both in the rows' order."""
    why = {row.id: UPHELD for row in rows if row.id in settled.upheld}
    left = [row for row in rows if row.id not in why]
    known = classes(Counter(row.label for row in left), Counter(row.label for row in healthy))
    compared = [row for row in left if row.label in known]
    why |= {row.id: row.quarantined for row in conflicts(compared, likeness) if row.id not in settled.released}
    why |= _doubted([row for row in compared if row.id not in why], healthy, likeness, settled)
    kept = [row for row in rows if row.id not in why]
    return kept, [replace(row, quarantined=why[row.id]) for row in rows if row.id in why]


def believed(
    rows: Sequence[Example], healthy: Sequence[Example], likeness: Likeness, settled: Settled, most: float
) -> tuple[list[Example], list[Example]]:
    """Return the rows parted as `parted` does. Raise ValueError, which names the labellers, where more than the share
    `most` is not believed: then it is not known who is right."""
    kept, quarantined = parted(rows, healthy, likeness, settled)
    if len(quarantined) > most * len(rows):
        whose = Counter(row.labeller or "without a name" for row in quarantined).most_common(NAMED)
        names = ", ".join(f"{name} ({count})" for name, count in whose)
        raise ValueError(
            f"fresh labelled rows: {len(quarantined)} of {len(rows)} have labels that are not believed, at most "
            f"{most:.0%} may (retrain.max_quarantined), most of them of {names}: take the key of who floods wrong "
            "labels away, or raise the share and decide with `homeostat data quarantine`"
        )
    return kept, quarantined


def _doubted(
    rows: Sequence[Example], healthy: Sequence[Example], likeness: Likeness, settled: Settled
) -> dict[str, str]:
    """Return why rows are not believed, by id: first those of labellers who stand alone, then single ones."""
    if len({row.labeller for row in rows}) < 2 and not healthy:
        return {}
    together = [*rows, *(replace(row, by=PAST, client="", time_ms=0) for row in healthy)]
    requests = vectors(together, likeness)
    telling = Telling(together, requests, likeness.questions(together))
    asked = range(len(rows))
    voters = [*asked, *_past(rows, healthy)]
    first = opinions(together, requests, asked, voters, telling)
    outcast = outcasts(rows, first)
    why = {
        row.id: ALONE
        for row, opinion in zip(rows, first, strict=True)
        if row.labeller in outcast and not opinion.agreeing and row.id not in settled.released
    }
    if why:  # they have no voice in what is said of others
        believed = [place for place in voters if together[place].id not in why or together[place].by == PAST]
        first = opinions(together, requests, asked, believed, telling)
    return why | {
        row.id: UNLIKE
        for row, opinion in zip(rows, first, strict=True)
        if row.id not in why and _unlike(row, opinion) and row.id not in settled.released
    }


def _past(rows: Sequence[Example], healthy: Sequence[Example]) -> list[int]:
    """Return which rows of the healthy time have a voice, by their places after the rows: where people are few. What
    one who labels alone has labelled before speaks not against what they label now."""
    people = {row.labeller for row in rows}
    if len(people) >= FEW:
        return []
    own = people if len(people) == 1 else set()
    return [len(rows) + place for place, row in enumerate(healthy) if row.labeller not in own]


def outcasts(rows: Sequence[Example], found: Sequence[Opinion]) -> dict[str, tuple[int, int]]:
    """Return the labellers whose labels stand alone far more often than others' do: how many of theirs do, and of how
    many that can be compared."""
    from scipy.stats import binom

    by: defaultdict[str, list[Opinion]] = defaultdict(list)
    for row, opinion in zip(rows, found, strict=True):
        by[row.labeller].append(opinion)
    shares: dict[str, Any] = {labeller: alone_share(theirs) for labeller, theirs in by.items()}
    suspects = {row.labeller for row in rows if not row.reviewed}
    far: dict[str, tuple[int, int]] = {}
    for labeller in sorted(suspects, key=lambda each: (-shares[each][0], each)):
        alone, of = shares[labeller]
        rest = [share for other, share in shares.items() if other != labeller and other not in far]
        usual = (1 + sum(share[0] for share in rest)) / (2 + sum(share[1] for share in rest))
        if of < FEWEST or alone / of < usual + EXCESS:
            continue
        if binom.sf(alone - 1, of, usual) * len(suspects) < CHANCE:
            far[labeller] = alone, of
    return far


def _unlike(row: Example, opinion: Opinion) -> bool:
    return not row.reviewed and opinion.is_alone and opinion.against >= AGAINST and 2 * opinion.against > opinion.voices
