"""Replies that several people labelled: how far reviewers agree, and which of them errs.

Where two other reviewers give the same label, the answer counts as known, and another reviewer's answer there is a spot
check: it is recorded in the ledger and becomes no label. Reviewers do not see which item is one.

>>> rows = [("ann", "1", "card"), ("bob", "1", "card"), ("ann", "2", "loan"), ("bob", "2", "card")]
>>> found = agreement(rows)
>>> found.replies, round(found.alpha, 3), [(each.pair, each.equal) for each in found.pairs]
(2, 0.0, [(('ann', 'bob'), 1)])
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from deploy.operator.labels.draws import REVIEWER
from deploy.show.intervals import wilson
from monitor.metrics import normalise
from streams.codec import deterministic_id
from streams.events import DecisionRecorded, FeedbackGiven
from streams.kinds import DecisionKind
from streams.lake.lake import Lake
from streams.topics import FEEDBACK

OPINION = ("event_id", "time_ms", "by", "source", "label", "correction")
AGREEING = 2  # reviewers who make an answer known
ACTION = "spot_check"  # of an operator's decision
Z99 = 2.575829
SLACK = 0.1  # below the others: with less nobody is named
ALONE = 0.8  # hit rate of a reviewer with whom no other can be compared
Labelled = tuple[str, str, str]  # author, reply, normalised label


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two reviewers, and of how many replies that both labelled their labels are equal."""

    pair: tuple[str, str]
    replies: int
    equal: int
    alpha: float | None


@dataclass(frozen=True, slots=True)
class ReviewerAgreement:
    """Krippendorff's alpha of labels (2004): 1 where all agree, 0 where they agree as by chance. None where there is
    nothing to compare, or only one label."""

    replies: int  # with labels of two people or more
    alpha: float | None
    pairs: Sequence[PairAgreement]

    def lines(self) -> Iterator[str]:
        """Yield it for people."""
        yield f"{self.replies} replies labelled by two or more people, alpha {_shown(self.alpha)}"
        for each in self.pairs:
            low, high = wilson(each.equal, each.replies)
            share = f"{each.equal} of {each.replies} equal ({low:.0%} to {high:.0%})"
            yield f"{' and '.join(each.pair)}: {share}, alpha {_shown(each.alpha)}"


@dataclass(frozen=True, slots=True)
class SpotChecked:
    """A reviewer's hits among the spot checks. `others`: the hit rate of all others together."""

    by: str
    hits: int
    checks: int
    others: float | None

    @property
    def far_below(self) -> bool:
        """Return whether even the upper end of the 99 % interval is below the others by SLACK."""
        floor = ALONE if self.others is None else self.others - SLACK
        return wilson(self.hits, self.checks, Z99)[1] < floor

    def line(self) -> str:
        """Return it for people."""
        low, high = wilson(self.hits, self.checks)
        mark = "  far below the others: look at their labels" if self.far_below else ""
        return f"{self.by}: {self.hits} of {self.checks} spot checks right ({low:.0%} to {high:.0%}){mark}"


def labels(lake: Lake, alias: str, since_ms: int, *, reviewers: bool = False) -> list[Labelled]:
    """Return who labelled which reply how; the last label of a person counts. `reviewers`: theirs alone."""
    last: dict[tuple[str, str], tuple[int, str]] = {}
    for part in lake.rows(FEEDBACK, alias=alias, since_ms=since_ms, columns=OPINION):
        for row in part.to_pylist():
            text, place = row["label"] or row["correction"], (row["by"], row["event_id"])
            if text and (row["source"] == REVIEWER or not reviewers):
                last[place] = max(last.get(place, (0, "")), (row["time_ms"], normalise(text)))
    return [(by, id, text) for (by, id), (_, text) in last.items()]


def agreement(rows: Iterable[Labelled]) -> ReviewerAgreement:
    """Return how far people agree about the replies that two or more of them labelled."""
    by_reply: dict[str, dict[str, str]] = defaultdict(dict)
    for by, id, text in rows:
        by_reply[id][by] = text
    shared = {id: texts for id, texts in by_reply.items() if len(texts) > 1}
    both: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    for id, texts in shared.items():
        for one, other in combinations(sorted(texts), 2):
            both[one, other][id] = {one: texts[one], other: texts[other]}
    pairs = [
        PairAgreement(pair, len(some), sum(len(set(each.values())) == 1 for each in some.values()), _alpha(some))
        for pair, some in sorted(both.items())
    ]
    return ReviewerAgreement(len(shared), _alpha(shared), pairs)


def known_answers(rows: Iterable[Labelled], by: str) -> dict[str, str]:
    """Return the normalised answer of each reply on which two reviewers other than `by` agree, and none differs."""
    found: dict[str, list[str]] = defaultdict(list)
    for author, id, text in rows:
        if author != by:
            found[id].append(text)
    return {id: texts[0] for id, texts in found.items() if len(texts) >= AGREEING and len(set(texts)) == 1}


def spot_checks(decisions: Iterable[DecisionRecorded], alias: str) -> list[SpotChecked]:
    """Return each reviewer's hits, by the ledger; the first answer to an item counts."""
    first: dict[tuple[str, str], bool] = {}
    for each in decisions:
        if each.alias == alias and each.inputs.get("action") == ACTION:
            first.setdefault((str(each.inputs["by"]), str(each.output["event_id"])), bool(each.output["hit"]))
    checks, hits = Counter(by for by, _ in first), Counter(by for (by, _), hit in first.items() if hit)
    whole = sum(checks.values()), sum(hits.values())
    return [
        SpotChecked(by, hits[by], count, (whole[1] - hits[by]) / rest if (rest := whole[0] - count) else None)
        for by, count in sorted(checks.items())
    ]


def answered(lake: Lake, alias: str, since_ms: int, by: str) -> set[str]:
    """Return the replies of which the lake has an answer of this person."""
    parts = lake.rows(FEEDBACK, alias=alias, since_ms=since_ms, columns=("event_id", "by"))
    return {row["event_id"] for part in parts for row in part.to_pylist() if row["by"] == by}


def checked(decisions: Iterable[DecisionRecorded], alias: str, by: str) -> set[str]:
    """Return the replies of this person's spot checks."""
    ours = (each for each in decisions if each.alias == alias and each.inputs.get("action") == ACTION)
    return {str(each.output["event_id"]) for each in ours if each.inputs["by"] == by}


def check(given: FeedbackGiven, truth: str) -> DecisionRecorded:
    """Return a spot check as the ledger has it: whether the answer was right, and no text. `truth`: normalised."""
    hit = normalise(given.label or given.correction or "") == truth
    return DecisionRecorded(
        id=deterministic_id("spot check", given.event_id, given.by),
        alias=given.alias,
        time_ms=given.time_ms,
        kind=DecisionKind.OPERATOR,
        function="operator",
        inputs={"action": ACTION, "by": given.by},
        output={"event_id": given.event_id, "hit": hit},
        summary=f"{given.by}: a spot check, {'right' if hit else 'wrong'}",
    )


def _alpha(shared: Mapping[str, Mapping[str, str]]) -> float | None:
    from nltk.metrics.agreement import AnnotationTask

    rows = [(by, id, text) for id, texts in shared.items() for by, text in texts.items()]
    if len({text for _, _, text in rows}) < 2:
        return None
    return float(AnnotationTask(data=rows).alpha())


def _shown(alpha: float | None) -> str:
    return "unknown" if alpha is None else f"{alpha:.3f}"
