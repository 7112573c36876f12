"""The figures of an evaluation, of both sides and of each group, from rows with both answers. Numbers alone are kept,
and labels that many rows share: no text of a client's.

Rows that say the same count each: these figures describe, the gate decides. F1, precision and recall are
scikit-learn's; an answer that is no label is a wrong one of its own kind. Rows are asked until they settle the
verdict, so a figure is an estimate from as many rows as it says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.metrics import json_validity, normalise, rouge_l, token_f1
from retrain.data.classes import classes
from retrain.evaluation.evaluate import EngineAnswer
from retrain.evaluation.pairs import AskedRow
from streams.scoring.label_sets import json_list, label_set, set_f1
from streams.scoring.tone import formality, lix

AnswerKind = Literal["classes", "sets", "JSON", "text"]
ELSE = "(no label)"  # an answer that is none of the labels
Side = Literal["candidate", "champion"]
Codes = NDArray[np.int_]
SIDES: tuple[Side, ...] = ("candidate", "champion")


class LabelScores(msgspec.Struct, frozen=True):
    """A label's precision, recall and F1; `rows` have it."""

    label: str
    rows: int
    precision: float
    recall: float
    f1: float


class MeasuredGroup(msgspec.Struct, frozen=True):
    """The figures of a group of rows, by name: shares, or with their unit in the name."""

    rows: int = 0
    candidate: dict[str, float] = {}
    champion: dict[str, float] = {}


class AnswerMeasures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of all rows and of each group ("tag=value")."""

    kind: AnswerKind = "text"
    whole: MeasuredGroup = MeasuredGroup()
    groups: dict[str, MeasuredGroup] = {}
    labels: dict[Side, list[LabelScores]] = {}  # of classes and sets, the most frequent first


def measured(asked: Sequence[AskedRow], sets: bool = False) -> AnswerMeasures:
    """Return the figures. `sets`: answers are sets of labels, whatever they look like."""
    if not asked:
        return AnswerMeasures()
    kind = kind_of([each.row.completion for each in asked], sets)
    groups: defaultdict[str, list[AskedRow]] = defaultdict(list)
    for each in asked:
        for tag, value in each.row.tags.items():
            groups[f"{tag}={value}"].append(each)
    return AnswerMeasures(
        kind=kind,
        whole=_group(asked, kind),
        groups={name: _group(rows, kind) for name, rows in sorted(groups.items())},
        labels={side: labels(asked, side, kind) for side in SIDES} if kind in ("classes", "sets") else {},
    )


def figures(measures: AnswerMeasures) -> dict[str, float]:
    """Return the figures of all rows by "side_name"."""
    sides = {"candidate": measures.whole.candidate, "champion": measures.whole.champion}
    return {f"{side}_{name}": value for side, known in sides.items() for name, value in known.items()}


def kind_of(truths: Sequence[str], sets: bool = False) -> AnswerKind:
    """Return what answers are.

    >>> kind_of(["refund", "late"] * 3), kind_of(["[]", '["late"]']), kind_of(["{}"]), kind_of(["It is late."])
    ('classes', 'sets', 'JSON', 'text')
    """
    if sets or all(json_list(truth) is not None for truth in truths):
        return "sets"
    if classes(Counter(map(normalise, truths)), {}):
        return "classes"
    return "JSON" if all(json_validity(truth) for truth in truths) else "text"


def labels(asked: Sequence[AskedRow], side: Side, kind: AnswerKind) -> list[LabelScores]:
    """Return each label's scores, of one side's answers."""
    known, truths, answers = _coded(asked, side, kind)
    if not known:
        return []
    from sklearn.metrics import precision_recall_fscore_support

    columns = list(range(len(known)))
    found = precision_recall_fscore_support(truths, answers, labels=columns, average=None, zero_division=0.0)
    rows = [
        LabelScores(label, int(count), *(round(float(each), 4) for each in (precision, recall, f1)))
        for label, precision, recall, f1, count in zip(known, *found, strict=True)
    ]
    return sorted(rows, key=lambda each: (-each.rows, each.label))


def _group(asked: Sequence[AskedRow], kind: AnswerKind) -> MeasuredGroup:
    candidate, champion = (_figures(asked, side, kind) for side in SIDES)
    return MeasuredGroup(len(asked), candidate, champion)


def _figures(asked: Sequence[AskedRow], side: Side, kind: AnswerKind) -> dict[str, float]:
    given: list[EngineAnswer] = [getattr(each, side) for each in asked]
    found = {"score": fmean(each.scores[SIDES.index(side)] for each in asked)}
    found |= _averages(asked, side, kind) if kind in ("classes", "sets") else _texts(asked, given, kind)
    found["cut_share"] = fmean(each.cut for each in given)
    for name, values in (("tokens", [each.tokens for each in given]), ("latency_ms", [each.ms for each in given])):
        if any(values):
            found |= {f"{name}_median": float(np.median(values)), f"{name}_p95": float(np.quantile(values, 0.95))}
    return {name: round(float(value), 4) for name, value in found.items()}


def _averages(asked: Sequence[AskedRow], side: Side, kind: AnswerKind) -> dict[str, float]:
    """Return precision, recall and F1 over all labels alike (macro), and over all decisions alike (micro), of answers
    that are no label too; of sets also the mean of the rows' own."""
    known, truths, answers = _coded(asked, side, kind)
    if not known:
        return {}
    from sklearn.metrics import precision_recall_fscore_support

    columns = list(range(len(known)))
    kinds = {"macro": columns, "micro": [*columns, len(known)]}  # of a rare wrong answer no label's average is made
    found = dict[str, float]()
    for average, among in kinds.items():
        scores = precision_recall_fscore_support(truths, answers, labels=among, average=average, zero_division=0.0)
        found |= {
            f"{average}_{name}": value for name, value in zip(("precision", "recall", "f1"), scores, strict=False)
        }
    if kind == "sets":
        found["set_f1"] = fmean(set_f1(getattr(each, side).text, each.row.completion) for each in asked)
    return found


def _coded(asked: Sequence[AskedRow], side: Side, kind: AnswerKind) -> tuple[list[str], Codes, Codes]:
    """Return the labels, and truths and answers by their numbers: of sets a column each, of classes one number a row,
    where one more than the last stands for an answer that is no label."""
    truths, answers = [each.row.completion for each in asked], [getattr(each, side).text for each in asked]
    if kind == "sets":
        wanted, given = list(map(label_set, truths)), list(map(label_set, answers))
        known = sorted(frozenset().union(*wanted))
        code = [np.array([[label in row for label in [*known, ELSE]] for row in rows]) for rows in (wanted, given)]
        code[1][:, -1] = [bool(row - set(known)) for row in given]
        return known, code[0].astype(int), code[1].astype(int)
    known = sorted({normalise(each) for each in truths})
    number = {label: i for i, label in enumerate(known)}

    def coded(texts: Sequence[str]) -> Codes:
        return np.array([number.get(normalise(each), len(known)) for each in texts])

    return known, coded(truths), coded(answers)


def _texts(asked: Sequence[AskedRow], given: Sequence[EngineAnswer], kind: AnswerKind) -> dict[str, float]:
    pairs = [(answer.text, each.row.completion) for answer, each in zip(given, asked, strict=True)]
    compared: Mapping[str, Callable[[str, str], float]] = {"token_f1": token_f1, "rouge_l": rouge_l}
    found = {name: fmean(metric(*pair) for pair in pairs) for name, metric in compared.items()}
    if kind == "JSON":
        return found | {"valid_json": fmean(json_validity(*pair) for pair in pairs)}
    tones: Mapping[str, Callable[[str], float | None]] = {"readability_lix": lix, "formality": formality}
    for name, tone in tones.items():
        known = [value for text, _ in pairs if (value := tone(text)) is not None]
        found |= {name: fmean(known)} if known else {}
    return found
