"""The sources of labels as the operator declares them, and what the labels of each may do.

A source is the id of an API key, or what feedback says of itself (client, reviewer, downstream). The same people label
in different ways at different keys, so the key goes before. Thumbs and scores (ratings) of a source have its name with
the measure before it: they have a reference of their own.

>>> declared = {"crm": "complete", "reviewer": "audit"}
>>> origin(declared, "crm", "client", audited=False), origin(declared, "ann", "reviewer", audited=True)
(Origin(selection='complete', source='crm'), Origin(selection='audit', source='audit'))
>>> origin(declared, "ann", "reviewer", audited=False), origin(declared, "app", "client", audited=True)
(Origin(selection='volunteered', source='reviewer'), Origin(selection='volunteered', source='app'))
>>> origin(declared, "ann", "reviewer", audited=False, probability=0.1)
Origin(selection='wanted', source='reviewer')
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

Selection = Literal["audit", "complete", "random", "wanted", "volunteered", "judge"]
Measure = Literal["thumb", "score"]  # of ratings, which say how good an answer is without a truth

SELECTIONS: tuple[Selection, ...] = get_args(Selection)
MEASURES: tuple[Measure, ...] = get_args(Measure)
UNDECLARED: Selection = "volunteered"
JUDGE: Selection = "judge"  # no label: a judge model's score
BEFORE_SOURCES = "random/"  # of labels in records from before labels had sources: they were taken for fair then
GIVEN_BY = ("client", "reviewer", "downstream")  # what feedback says of itself
USUAL: Mapping[str, Selection] = {"reviewer": "audit"}  # where nothing else is declared
DOUBTED = "doubted"  # of drawn replies those that are taught alone, where no weights are known
MEANING: Mapping[str, str] = {
    "audit": "of replies that were chosen before their answer was known",
    "complete": "of all replies of a key",
    "random": "given by chance, whatever the answer",
    "wanted": "drawn with a chance that each label carries",
    "volunteered": "given by whoever wanted to",
    "judge": "that a judge model gave alone",
}
MAY_BE_DRAWN: frozenset[Selection] = frozenset({"audit", "random", "wanted"})  # who label what they are asked to
DECLARED = tuple(each for each in SELECTIONS if each != JUDGE)  # that one has no source but itself
IN_ORDER: frozenset[Selection] = frozenset({"audit", "complete"})  # judged at one age, in the order of the replies


class Origin(NamedTuple):
    """Where a label comes from. Each `source` has its own reference, limit and statistic; all audits are one."""

    selection: str
    source: str

    @property
    def name(self) -> str:
        """Return it as one text, by which rows and states name it: no key's id contains a slash."""
        return self.source if self.selection == "audit" else f"{self.selection}/{self.source}"


def origin(
    declared: Mapping[str, str], key: str, source: str, *, audited: bool, probability: float | None = None
) -> Origin:
    """Return where a label comes from. `audited`: the reply was chosen for an audit. `probability`: with which it was
    drawn.

    The choice of an audited reply is ours, but whether it gets a label is not. So only the labels of a source that is
    declared to audit count as audits: of its replies it is known which are missing. A drawn label without its
    probability cannot be weighed; with it, it is no label by chance."""
    named = key if key in declared else source
    selection = (declared if named in declared else USUAL).get(named, UNDECLARED)
    if selection == "audit" and audited:
        return Origin("audit", "audit")
    if probability and selection in MAY_BE_DRAWN:
        return Origin("wanted", named)
    if selection in ("audit", "wanted"):
        return Origin(UNDECLARED, named)
    return Origin(selection, named if named in declared else key)


def read(name: str) -> Origin:
    """Return the origin of this name, without the measure of ratings; of labels from before there were names it is not
    known who chose them.

    >>> read("random/app"), read("thumb@audit"), read("")
    (Origin(selection='random', source='app'), Origin(selection='audit', source='audit'), \
Origin(selection='volunteered', source=''))
    """
    selection, _, source = parted(name)[1].partition("/")
    for known in SELECTIONS:
        if known == selection:
            return Origin(known, source or ("audit" if known == "audit" else ""))
    return Origin(UNDECLARED, "")


def rated(measure: str, name: str) -> str:
    """Return the name of an origin's ratings by this measure."""
    return f"{measure}@{name}"


def parted(name: str) -> tuple[str, str]:
    """Return the measure of an origin's ratings, and the origin's name; the measure of labels is empty.

    >>> parted(rated("thumb", "random/app")), parted("random/ann@home")
    (('thumb', 'random/app'), ('', 'random/ann@home'))
    """
    measure, _, rest = name.partition("@")
    return (measure, rest) if measure in MEASURES else ("", name)


def is_drawn(name: str) -> bool:
    """Return whether the labels of this origin were drawn, and so count by their weights.

    >>> is_drawn("wanted/reviewer"), is_drawn("random/app")
    (True, False)
    """
    return read(name).selection == "wanted"


def may_judge(selection: str) -> bool:
    """Return whether such a label may be part of a verdict. Volunteered ones teach, and judge nothing: those who give
    them chose the reply after they had seen the answer. A judge model's score is no label.

    >>> [each for each in SELECTIONS if may_judge(each)], may_judge("")
    (['audit', 'complete', 'random', 'wanted'], False)
    """
    return selection in SELECTIONS and selection not in (UNDECLARED, JUDGE)


def judge_of(cohorts: Iterable[str]) -> str:
    """Return the name of the judge model that is asked about a reply of these cohorts; empty where none is.

    >>> judge_of(["audit", "judge/tone by gpt"]), judge_of(["audit"])
    ('judge/tone by gpt', '')
    """
    return next((each for each in cohorts if each.startswith(f"{JUDGE}/")), "")


def may_rate(selection: str) -> bool:
    """Return whether a rating by such a source is tested. A drawn one is not: it would have to be weighed.

    >>> [each for each in SELECTIONS if may_rate(each)]
    ['audit', 'complete', 'random']
    """
    return may_judge(selection) and selection != "wanted"


def problems(declared: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a declaration, each with key, value and what was expected.

    >>> problems({"crm": "some", "": "random"})
    ["crm = 'some', expected one of audit, complete, random, wanted, volunteered", "'' is no source, expected a key's \
id, or client, reviewer, downstream"]
    """
    expected = ", ".join(DECLARED)
    strange = [
        f"{key} = {value!r}, expected one of {expected}" for key, value in declared.items() if value not in DECLARED
    ]
    unnamed = [
        f"{key!r} is no source, expected a key's id, or client, reviewer, downstream"
        for key in declared
        if not key.strip() or "/" in key
    ]
    return [*strange, *unnamed]
