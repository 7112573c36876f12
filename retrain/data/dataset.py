"""The dataset of one retraining, made from labelled rows; pure.

Validation and regression rows are real, labelled by people, and have no near duplicate among the training rows. Their
labels are of replies that were chosen whatever the answer was: volunteered ones are trained on, and judge nothing. The
audited replies among whose neighbours they were drawn, but that have no label, are in these parts too, unlabelled."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple

import msgspec

from monitor.metrics import normalise
from monitor.selection.sources import DOUBTED
from retrain.data.agreement.quarantine import NOTHING_SETTLED, Settled, believed, parted
from retrain.data.classes import holds_together
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import Likeness
from retrain.data.refusals import refuses
from retrain.data.rehearsal import balanced
from retrain.data.shares import exact_losses, harm, judged
from retrain.settings import RetrainSettings

STALE_ROWS = 5  # fresh rows that must contradict a label before it is called stale
NEWEST = 4_000  # rows of the healthy time that are read
FAMILIAR = "not judged on: the champion has met it"
UNFAIR = "not judged on: its label was volunteered"
DRAWN = "not judged on: drawn for a label because it looked doubtful"


class Missing(NamedTuple):
    """Audited replies without a label: since the harm began, and before."""

    fresh: Sequence[Example] = ()
    healthy: Sequence[Example] = ()


NONE_MISSING = Missing()


class Dataset(msgspec.Struct, frozen=True):
    """Rows to train on and rows to judge on, which share no question, how many rows each filter removed, and the rows
    whose labels are not believed."""

    train: list[Example]  # fresh rows: what is new
    rehearsal: list[Example]  # rows of the healthy time that are trained on as well, against forgetting
    validation: list[Example]  # fresh rows: is the candidate better where the harm is?
    regression: list[Example]  # rows of the healthy time: is it still good there?
    dropped: dict[str, int]  # filter -> rows that it removed
    quarantine: list[Example] = []  # neither trained nor judged on, each with its reason

    @property
    def rows(self) -> list[Example]:
        """All rows that a version meets, of every such part."""
        return [*self.train, *self.rehearsal, *self.validation, *self.regression]

    def lessons(self, fresh_passes: int = 1) -> list[Example]:
        """Return the rows to train on: fresh ones `fresh_passes` times, rehearsed ones once."""
        return [*self.train * fresh_passes, *self.rehearsal]


def build(
    settings: RetrainSettings,
    fresh: Sequence[Example],
    unseen: Sequence[Example],
    seen: Sequence[Example],
    losses: Callable[[Sequence[Example]], Sequence[float | None]] = exact_losses,
    familiar: Sequence[Example] = (),
    missing: Missing = NONE_MISSING,
    settled: Settled = NOTHING_SETTLED,
) -> Dataset:
    """Return the dataset. `fresh`: labelled rows since the harm began; `unseen`: labelled rows before that, in the
    order of their time; `seen`: the champion's training rows; `familiar`: rows that the champion or an ancestor was
    trained or judged on, which prove nothing for it or against it; `losses`: the champion's on these rows; `missing`:
    audited replies without a label; `settled`: rows on which an operator has decided. Raises ValueError where too many
    labels are not believed, or too few rows are left to train and to judge on; volunteered rows are taught alone, for
    fair ones may be labelled while the candidate is trained.

    Fresh rows are few and new, rehearsed ones many and known. There are at most `rehearsal_ratio` rehearsed rows to
    each fresh one, so that the fresh ones are learned within the same number of steps."""
    dropped: Counter[str] = Counter()
    likeness = Likeness.of(fresh, unseen[-NEWEST:], seen, familiar)
    unseen, quarantine = parted(unseen[-NEWEST:], (), likeness, settled)
    fresh, doubted = believed(fresh, unseen, likeness, settled, settings.max_quarantined)
    quarantine = [*doubted, *quarantine]
    dropped.update(row.quarantined for row in quarantine)
    fresh = capped(once(fresh, dropped), settings.client_cap, likeness, dropped)
    known = [*familiar, *seen]
    met = _ids(fresh) - _ids(apart(fresh, known, likeness, dropped, FAMILIAR))
    fair, given = [row for row in fresh if row.judges], [row for row in fresh if not row.judges]
    train, validation = split(fair, settings, likeness, harm(losses(fair)), met & _ids(fair))
    dropped[UNFAIR] += sum(row.selection != DOUBTED for row in given)
    dropped[DRAWN] += sum(row.selection == DOUBTED for row in given)
    train += apart(given, validation, likeness, dropped, "twin of a validation row")
    healthy = still_true(once([*unseen, *seen], dropped), fresh, dropped, likeness)
    healthy = apart(healthy, validation, likeness, dropped, "twin of a validation row")
    new = _ids(unseen)
    unmet = apart([row for row in healthy if row.id in new and row.judges], known, likeness, dropped, FAMILIAR)
    regression = in_chance_order(unmet, "regression")[: min(settings.regression_rows, len(healthy) // 2)]
    train = apart(train, regression, likeness, dropped, "twin of a regression row")
    rest = apart(healthy, regression, likeness, Counter(), "")  # its own rows are no loss
    if not train or not (validation or given):
        raise ValueError(
            f"fresh labelled rows: {len(train)} to train on and {len(validation)} to judge on, expected some of each; "
            f"more feedback is needed{''.join(f'; {count} {why}' for why, count in dropped.items() if count)}"
        )
    count = min(settings.rehearsal_rows, round(settings.rehearsal_ratio * len(train)))
    rehearsal = balanced(rest, count, train, settings.fresh_passes, likeness)
    validation = united([*validation, *since(missing.fresh, validation)], likeness)
    regression = in_chance_order([*regression, *as_many(missing.healthy, regression, unmet)], "regression")
    return Dataset(train, rehearsal, validation, united(regression, likeness), dict(dropped), quarantine)


def _ids(rows: Iterable[Example]) -> set[str]:
    return {row.id for row in rows}


def unfair(dropped: Mapping[str, int]) -> dict[str, int]:
    """Return how many rows are taught and not judged on, by who chose them."""
    counts = {"volunteered": dropped.get(UNFAIR, 0), "drawn because they looked doubtful": dropped.get(DRAWN, 0)}
    return {why: count for why, count in counts.items() if count}


def united(rows: Sequence[Example], likeness: Likeness) -> list[Example]:
    """Return the rows with the one that stands for each in a verdict: near duplicates, and the turns of a conversation,
    are no more evidence than one row."""
    numbers = likeness.clusters(rows)
    return [msgspec.structs.replace(row, unit=rows[number].id) for row, number in zip(rows, numbers, strict=True)]


def since(missing: Sequence[Example], judged: Sequence[Example]) -> list[Example]:
    """Return the unlabelled audited rows of the time of the rows that are judged on, which are the newest."""
    first_ms = min((row.time_ms for row in judged if row.selection == "audit"), default=math.inf)
    return [row for row in missing if row.time_ms >= first_ms]


def as_many(missing: Sequence[Example], drawn: Sequence[Example], of: Sequence[Example]) -> list[Example]:
    """Return such a share of the unlabelled audited rows as of the audited ones were drawn to be judged on."""
    known, taken = (sum(row.selection == "audit" for row in rows) for rows in (of, drawn))
    return in_chance_order(missing, "missing")[: math.ceil(len(missing) * taken / known)] if known else []


def once(rows: Iterable[Example], dropped: Counter[str]) -> list[Example]:
    """Return each question once, with its newest answer, at the place of its first row."""
    found: dict[str, Example] = {}
    for row in rows:
        if row.key in found:
            dropped["exact duplicate"] += 1
            if row.time_ms < found[row.key].time_ms:
                continue
        found[row.key] = row
    return list(found.values())


def capped(rows: Sequence[Example], share: float, likeness: Likeness, dropped: Counter[str]) -> list[Example]:
    """Return the rows without those by which a client exceeds its share (an even share where clients are few): a client
    that floods or poisons must not teach alone. The share counts different questions, so that a client gains nothing by
    asking one in many ways, and its repetitions are removed first."""
    clients = len({row.client for row in rows})
    if clients < 2:
        return list(rows)
    numbers = likeness.clusters(rows)
    most = max(1, int(max(share, 1 / clients) * len(set(numbers))))
    asked: Counter[tuple[str, int]] = Counter()
    given: Counter[str] = Counter()
    places = []
    for place, (row, number) in enumerate(zip(rows, numbers, strict=True)):
        places.append((asked[row.client, number], place))
        asked[row.client, number] += 1
    kept = []
    for _, place in sorted(places):
        given[rows[place].client] += 1
        if given[rows[place].client] <= most:
            kept.append(place)
    dropped["client over its cap"] += len(rows) - len(kept)
    return [rows[place] for place in sorted(kept)]


def still_true(
    healthy: Sequence[Example], fresh: Sequence[Example], dropped: Counter[str], likeness: Likeness
) -> list[Example]:
    """Return the rows that no fresh row contradicts, by another answer to the same question or by a stale label."""
    answers = {row.key: row.label for row in fresh}
    kept = [row for row in healthy if answers.get(row.key, row.label) == row.label]
    wrong = never_right(fresh)
    for label, rows in wrong.items():
        twins = {row.id for row in kept if row.label == label}
        twins -= {row.id for row in apart([row for row in kept if row.id in twins], rows, likeness, Counter(), "")}
        kept = [row for row in kept if row.id not in twins]
    dropped["contradicted by a fresh row"] += len(healthy) - len(kept)
    gone = stale_labels(fresh, kept, likeness)
    valid = [row for row in kept if row.label not in gone]
    dropped["label is stale"] += len(kept) - len(valid)
    return valid


def stale_labels(fresh: Sequence[Example], healthy: Sequence[Example], likeness: Likeness) -> frozenset[str]:
    """Return the answers whose questions still arrive but are answered otherwise now: the class was renamed, split or
    merged, and rows with the old answer would teach the past.

    The champion gave such an answer often, it was never right, no fresh label has it, and its questions are as like
    those of the healthy time as these are like each other. Without the last condition, a class that merely has no
    questions now, while new questions are taken for it, would be forgotten. A refusal is no class: where the champion
    refuses too much, it must still refuse some questions."""
    return frozenset(
        label
        for label, rows in never_right(fresh).items()
        if not refuses(label) and holds_together(rows, label, healthy, likeness)
    )


def never_right(fresh: Sequence[Example]) -> dict[str, list[Example]]:
    """Return the answers that the champion gives often and no fresh label has, with the rows where it gave them."""
    predicted: defaultdict[str, list[Example]] = defaultdict(list)
    for row in fresh:
        predicted[normalise(row.predicted)].append(row)
    alive = {"", *(row.label for row in fresh)}
    return {label: rows for label, rows in predicted.items() if label not in alive and len(rows) >= STALE_ROWS}


def split(
    fresh: Sequence[Example],
    settings: RetrainSettings,
    likeness: Likeness,
    wrong: float = 1.0,
    met: Set[str] = frozenset(),
) -> tuple[list[Example], list[Example]]:
    """Return training and validation rows. The questions that came up last and that the champion has not `met` are for
    validation; near duplicates and the turns of a conversation are one question. `wrong`: the share of the fresh rows
    that the champion got wrong."""
    rows = sorted(fresh, key=lambda row: (row.id not in met, row.time_ms, row.id))
    numbers = likeness.clusters(rows)
    questions = list(dict.fromkeys(numbers))
    border = max(len(set(numbers[: len(met)])), len(questions) - judged(len(questions), wrong, settings))
    old = set(questions[:border])
    train = [row for row, number in zip(rows, numbers, strict=True) if number in old]
    return train, [row for row, number in zip(rows, numbers, strict=True) if number not in old]


def apart(
    rows: Sequence[Example], kept: Sequence[Example], likeness: Likeness, dropped: Counter[str], why: str
) -> list[Example]:
    """Return the rows that have no near duplicate among `kept`; count the others in `dropped` under `why`."""
    numbers = likeness.clusters([*kept, *rows])
    taken = set(numbers[: len(kept)])
    found = [row for row, number in zip(rows, numbers[len(kept) :], strict=True) if number not in taken]
    dropped[why] += len(rows) - len(found)
    return found
