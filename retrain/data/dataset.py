"""What a candidate learns from and is judged on: pure, from labelled rows.

Validation and regression rows are real, labelled by people, and have no twin among the training rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

import msgspec

from monitor.metrics import Metric, exact_match, normalise
from retrain.data.classes import holds_together, shared_out
from retrain.data.example import Example, in_chance_order
from retrain.data.likeness import Likeness
from retrain.data.refusals import refuses
from retrain.data.shares import harm, judged
from retrain.settings import RetrainSettings

STALE_ROWS = 5  # fresh rows that must contradict a label before it is called stale
NEWEST = 4_000  # rows of the healthy time that are looked at
FAMILIAR = "not judged on: the champion has met it"


class Dataset(msgspec.Struct, frozen=True):
    """What is learned, what is judged on (the two share no question), and how many rows each filter took away."""

    train: list[Example]  # fresh rows: what is new
    rehearsal: list[Example]  # rows of the healthy time that are trained on as well, against forgetting
    validation: list[Example]  # fresh rows: is the candidate better where the harm is?
    regression: list[Example]  # rows of the healthy time: is it still good there?
    dropped: dict[str, int]

    def lessons(self, fresh_passes: int = 1) -> list[Example]:
        """What is trained on: fresh rows so many times, each rehearsed one once."""
        return [*self.train * fresh_passes, *self.rehearsal]


def build(
    settings: RetrainSettings,
    fresh: Sequence[Example],
    unseen: Sequence[Example],
    seen: Sequence[Example],
    metric: Metric = exact_match,
    familiar: Sequence[Example] = (),
) -> Dataset:
    """`fresh`: labelled rows since the harm began; `unseen`: labelled rows before, in the order of their time; `seen`:
    what the champion was trained on; `familiar`: what it or an ancestor was trained or judged on, which proves nothing
    in its favour or against it. Raises ValueError where too little is left to train and to judge on.

    Fresh rows are few and new, rehearsed ones many and known: too many of them and the new is not learned within the
    same steps, so there are at most `rehearsal_ratio` to each fresh one."""
    dropped: Counter[str] = Counter()
    likeness = Likeness.of(fresh, unseen[-NEWEST:], seen, familiar)
    fresh = capped(once(fresh, dropped), settings.client_cap, likeness, dropped)
    known = [*familiar, *seen]
    met = {row.id for row in fresh} - {row.id for row in apart(fresh, known, likeness, dropped, FAMILIAR)}
    train, validation = split(fresh, settings, likeness, harm(fresh, metric), met)
    healthy = still_true(once([*unseen[-NEWEST:], *seen], dropped), fresh, dropped, likeness)
    healthy = apart(healthy, validation, likeness, dropped, "twin of a validation row")
    new = {row.id for row in unseen}
    unmet = apart([row for row in healthy if row.id in new], known, likeness, dropped, FAMILIAR)
    regression = in_chance_order(unmet, "regression")[: min(settings.regression_rows, len(healthy) // 2)]
    train = apart(train, regression, likeness, dropped, "twin of a regression row")
    rest = apart(healthy, regression, likeness, Counter(), "")  # its own rows are no loss
    if not train or not validation:
        raise ValueError(
            f"fresh labelled rows: {len(train)} to train on and {len(validation)} to judge on, expected some of each; "
            f"more feedback is needed{''.join(f'; {count} {why}' for why, count in dropped.items() if count)}"
        )
    taught = Counter(row.label for row in train * settings.fresh_passes)
    rehearsal = balanced(rest, min(settings.rehearsal_rows, round(settings.rehearsal_ratio * len(train))), taught)
    return Dataset(train, rehearsal, validation, regression, dict(dropped))


def once(rows: Iterable[Example], dropped: Counter[str]) -> list[Example]:
    """Each question once. The newest answer counts; the place of the first is kept."""
    found: dict[str, Example] = {}
    for row in rows:
        if row.key in found:
            dropped["exact duplicate"] += 1
            if row.time_ms < found[row.key].time_ms:
                continue
        found[row.key] = row
    return list(found.values())


def capped(rows: Sequence[Example], share: float, likeness: Likeness, dropped: Counter[str]) -> list[Example]:
    """No client gives more than the share, or an even one where clients are few: one that floods, or poisons, must not
    teach alone. The share is of the different questions, so that asking one in many ways gains nothing, and a client's
    repetitions go first."""
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
    """Without the rows that the fresh ones contradict: the same question with another answer, or a stale label."""
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
    """Answers whose questions still come but are now answered otherwise: their class was renamed, split or merged, and
    rows that teach them would teach the past.

    The champion gave them often, they were never right, nobody gives them any more, and the questions are as like
    those of the healthy time as those are like each other. Without the last, a class that merely does not occur
    now, while new questions are taken for it, would be forgotten. A refusal is no class: what must be refused is
    still to be refused where the champion refuses too much."""
    return frozenset(
        label
        for label, rows in never_right(fresh).items()
        if not refuses(label) and holds_together(rows, label, healthy, likeness)
    )


def never_right(fresh: Sequence[Example]) -> dict[str, list[Example]]:
    """Answers that the champion gives often and nobody else does, with the rows where it gave them."""
    told: defaultdict[str, list[Example]] = defaultdict(list)
    for row in fresh:
        told[normalise(row.predicted)].append(row)
    alive = {row.label for row in fresh}
    return {label: rows for label, rows in told.items() if label and label not in alive and len(rows) >= STALE_ROWS}


def split(
    fresh: Sequence[Example],
    settings: RetrainSettings,
    likeness: Likeness,
    wrong: float = 1.0,
    met: Set[str] = frozenset(),
) -> tuple[list[Example], list[Example]]:
    """Training and validation rows: the newest that the champion has not `met` are judged on, near duplicates stay
    together. `wrong`: the share of the fresh rows that the champion got wrong."""
    rows = sorted(fresh, key=lambda row: (row.id not in met, row.time_ms, row.id))
    border = max(len(met), len(rows) - judged(len(rows), wrong, settings))
    numbers = likeness.clusters(rows)
    old = set(numbers[:border])
    train = [row for row, number in zip(rows, numbers, strict=True) if number in old]
    return train, [row for row, number in zip(rows, numbers, strict=True) if number not in old]


def apart(
    rows: Sequence[Example], kept: Sequence[Example], likeness: Likeness, dropped: Counter[str], why: str
) -> list[Example]:
    """The rows that have no near duplicate among those kept elsewhere."""
    numbers = likeness.clusters([*kept, *rows])
    taken = set(numbers[: len(kept)])
    found = [row for row, number in zip(rows, numbers[len(kept) :], strict=True) if number not in taken]
    dropped[why] += len(rows) - len(found)
    return found


def balanced(rows: Sequence[Example], count: int, taught: Mapping[str, int]) -> list[Example]:
    """At most `count` rows, so that together with the `taught` ones each class comes as often as any other, as far as
    there are rows: what the fresh ones do not mention at all is forgotten first. Free text has no classes, and comes
    as it comes."""
    shared = shared_out(in_chance_order(rows, "rehearsal"), taught)
    return [row for _, row in sorted(shared, key=lambda each: each[0])[:count]]
