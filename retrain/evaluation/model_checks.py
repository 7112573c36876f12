"""The checks of a judge model, on fresh rows that no person labelled: one may end a candidate, the other promotes only
where the operator lets it (`policy.judge_may_promote`). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from retrain.evaluation.checks import Check, Question, Scores

JUDGED, STANDS_IN = "judge", "judge for labels"


def questions(judged: Scores, min_gain: float, *, may_promote: bool) -> Iterator[Question]:
    """Yield the claims about the rows that the judge model scored, if there are any. Neither holds a candidate back."""
    if judged:
        yield Question(JUDGED, judged, 0.0, "not worse by a judge model", holds_back=False)
    if judged and may_promote:
        yield Question(STANDS_IN, judged, min_gain, "better by a judge model", holds_back=False)


def standing(checks: Sequence[Check], target: str, *, trusted: bool) -> list[Check]:
    """Return the checks that make the verdict: where the judge proves the candidate better and is `trusted`, the
    undecided check `target` counts as passed."""
    stands_in = trusted and any(each.name == STANDS_IN and each.passed for each in checks)
    others = [each for each in checks if each.name != STANDS_IN]
    if not stands_in:
        return others
    return [replace(each, passed=True) if each.name == target and each.passed is None else each for each in others]


def parted(checks: Sequence[Check]) -> tuple[list[Check], list[Check]]:
    """Return the checks by labels, and the judge model's."""
    by_model = [each for each in checks if each.name in (JUDGED, STANDS_IN)]
    return [each for each in checks if each not in by_model], by_model


def described(judge: str, rows: int, agrees: tuple[int, int], *, may_promote: bool) -> str:
    """Return what the judge model may do here, and how far it is to be believed."""
    may = "may block, and promote" if may_promote else "may block, never promote"
    agreed, compared = agrees
    believed = f"agrees with people on {agreed} of {compared} audited replies" if compared else "no audit tells of it"
    return f"the judge model ({judge}) scored {rows} rows without a label: it {may}; {believed}"
