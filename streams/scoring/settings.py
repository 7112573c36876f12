"""Which metric an alias's answers have; checked once, when made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from monitor.metrics import METRICS, Metric
from monitor.selection.sources import JUDGE

ROUGE = ("rouge_1", "rouge_2", "rouge_lsum")  # by the library; `rouge_l` is among `monitor.metrics`
NAMES = (*METRICS, *ROUGE)
EXACT = "exact_match"
PLACE = re.compile(r" - at `\$\.(\w+)")  # of a field, in msgspec's errors
DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*[.:][^\W\d]\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByName:
    """A metric that is built in."""

    name: str  # exact_match, token_f1, rouge_1, rouge_2, rouge_l, rouge_lsum or json_validity

    @property
    def called(self) -> str:
        """Return the name by which labels carry the metric."""
        return self.name

    def __post_init__(self) -> None:
        _require("name", self.name, self.name in NAMES, f"one of {', '.join(NAMES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BySchema:
    """A JSON schema that an answer must fit, and the share of the truth's values that it has."""

    schema: Path  # file with the schema; what it refers to stands in it, nothing is fetched

    @property
    def called(self) -> str:
        """Return the name by which labels carry the metric."""
        return f"schema {self.schema.stem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByRubric:
    """A model that judges by a rubric, behind any OpenAI-compatible address."""

    rubric: Path  # text file: what makes an answer good
    url: str  # address as OpenAI's clients take it, with its /v1
    model: str  # name of the judge there
    prompt: Path | None = None  # text file with {question}, {answer}, {truth}, {rubric}; none: the one built in
    key_file: Path | None = None  # file that holds the API key
    key_env: str = "HOMEOSTAT_JUDGE_KEY"  # else the variable of the environment that holds it; without, none is sent
    calls_per_day: int = 10_000  # asked at most, of each machine; a day is UTC's
    tokens_per_day: int = 10_000_000  # likewise, prompts and answers; those under way at the end come on top
    timeout_s: float = 30.0  # for one answer of the judge
    tries: int = 3  # for one row, with a wait between them that doubles
    back_off_s: float = 1.0  # the first such wait, unless the judge names one
    again_s: float = 60.0  # a judge that is away is not asked for so long
    concurrency: int = 4  # rows asked at once
    share: float = 0.0  # of the champion's replies that it scores without a label; worth it above gateway.audit_share
    body: dict[str, Any] = field(default_factory=dict)  # laid over each request, such as max_completion_tokens

    @property
    def called(self) -> str:
        """Return the name by which labels carry the metric."""
        return f"rubric {self.rubric.stem}"

    @property
    def source(self) -> str:
        """Return the name by which its scores carry the judge: another rubric or model is another judge."""
        return f"{JUDGE}/{self.rubric.stem} by {self.model}"

    def __post_init__(self) -> None:
        address = urlsplit(self.url)
        known = address.scheme in ("http", "https") and bool(address.netloc) and "@" not in address.netloc
        plain = known and not address.query and not address.fragment
        _require("url", "(not shown)" if "@" in self.url else self.url, plain, "an address such as https://host/v1")
        _require("model", self.model, bool(self.model.strip()), "the judge's name")
        _require("share", self.share, 0 <= self.share <= 1, "a share from 0 to 1")
        try:
            json.dumps(self.body, allow_nan=False)
        except (TypeError, ValueError):
            _require("body", sorted(self.body), False, "values that JSON has")
        for name in ("calls_per_day", "tokens_per_day"):
            _require(name, getattr(self, name), getattr(self, name) >= 0, "0 or more")
        for name in ("tries", "concurrency"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _require("timeout_s", self.timeout_s, 0 < self.timeout_s < float("inf"), "a positive number of seconds")
        for name in ("back_off_s", "again_s"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) < float("inf"), "0 or more seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCallable:
    """A Python function `(request, answer, truth) -> float`, 1 for the best answer, 0 for the worst."""

    callable: str  # pkg.module:function or pkg.module.function; its module must be on Python's path
    timeout_s: float = 10.0  # for one row

    @property
    def called(self) -> str:
        """Return the name by which labels carry the metric."""
        return self.callable

    def __post_init__(self) -> None:
        dotted = bool(DOTTED.fullmatch(self.callable))
        _require("callable", self.callable, dotted, "pkg.module:function or pkg.module.function")
        _require("timeout_s", self.timeout_s, 0 < self.timeout_s < float("inf"), "a positive number of seconds")


AnswerMetric = ByName | BySchema | ByRubric | ByCallable
KINDS: dict[str, type[ByName] | type[BySchema] | type[ByRubric] | type[ByCallable]] = {
    "name": ByName,
    "schema": BySchema,
    "rubric": ByRubric,
    "callable": ByCallable,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringSettings:
    """How good an answer is."""

    # alias -> a metric's name, or a table { schema = FILE }, { rubric = FILE, url = ADDRESS, model = NAME },
    # { callable = "pkg.module:function" }; exact_match for the others
    metrics: dict[str, Any] = field(default_factory=dict)
    # alias -> a table { rubric = FILE, url = ADDRESS, model = NAME, share = SHARE }: the judge model that scores
    # replies without a label, where the alias's metric is another one
    judges: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for alias in (*self.metrics, *self.judges):
            self.metric(alias)
            self.judge(alias)

    def metric(self, alias: str) -> AnswerMetric:
        """Return the metric of an alias: the exact match, unless the settings name another."""
        return parsed(self.given(alias), f"scoring.metrics.{alias}")

    def judge(self, alias: str) -> ByRubric | None:
        """Return the judge model of an alias: its own, else its metric's; None where neither is one."""
        at = f"scoring.judges.{alias}"
        found = parsed(self.judges[alias], at) if alias in self.judges else self.metric(alias)
        if isinstance(found, ByRubric):
            return found
        if alias in self.judges:
            raise ValueError(f"{at} is {found}, expected a judge: a table with a rubric")
        return None

    def given_judge(self, alias: str) -> Any:
        """Return the alias's judge as the settings have it; None where it has none that scores without a label."""
        judge = self.judge(alias)
        return (self.judges.get(alias) or self.given(alias)) if judge is not None and judge.share else None

    def given(self, alias: str) -> Any:
        """Return the alias's metric as the settings have it."""
        return self.metrics.get(alias, EXACT)

    def quick(self, alias: str) -> Metric | None:
        """Return the alias's metric as a pure function, where it costs no more than reading the texts; else None."""
        found = self.metric(alias)
        return METRICS.get(found.name) if isinstance(found, ByName) else None


def parsed(given: object, at: str) -> AnswerMetric:
    """Return the metric that a name or a table stands for. Raise ValueError that names the key `at` which it stands.

    >>> parsed("rouge_l", "scoring.metrics.support")
    ByName(name='rouge_l')
    >>> parsed({"callable": "house.tone:score", "timeout_s": 2}, "scoring.metrics.support")
    ByCallable(callable='house.tone:score', timeout_s=2.0)
    """
    table = {"name": given} if isinstance(given, str) else given
    kinds = [key for key in KINDS if isinstance(table, Mapping) and key in table]
    if not isinstance(table, Mapping) or len(kinds) != 1:
        shown = sorted(table) if isinstance(table, Mapping) else repr(given)
        raise ValueError(f"{at} is {shown}, expected a metric's name, or a table with one of {', '.join(KINDS)}")
    kind = KINDS[kinds[0]]
    known = [each.name for each in fields(kind)]
    if strange := sorted(set(table) - set(known)):
        raise ValueError(f"{at}.{strange[0]} is an unknown key, expected one of {', '.join(known)}")
    if lacking := [each for each in fields(kind) if _needed(each) and each.name not in table]:
        raise ValueError(f"{at}.{lacking[0].name} is missing: a metric by {kinds[0]} needs it")
    try:
        return msgspec.convert(table, kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        place = PLACE.search(str(error))
        shown = f".{place[1]} is {table[place[1]]!r}" if place else ""
        raise ValueError(f"{at}{shown}: {error}") from error


def _needed(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _path(kind: type, value: object) -> Path:
    if kind is not Path:
        raise TypeError(kind)
    if not isinstance(value, str | Path) or not str(value).strip() or str(value).startswith("~"):
        raise ValueError("expected a path, written out")
    return Path(value)


def _require(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value!r}, expected {expected}")
