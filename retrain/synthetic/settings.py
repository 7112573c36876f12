"""The operator's settings of synthetic rows; checked once, when made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from monitor.validation import require

LARGEST_SHARE = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSettings:
    """Rows that no person sent: a model writes them, or another tool made them. They are trained on, never judged
    on."""

    enabled: bool = False  # whether retrainings take an alias's synthetic rows; without any nothing changes
    max_share: float = LARGEST_SHARE  # of the rows that are trained on, at most; 0.7 is the largest that is taken
    url: str = ""  # of the model that writes rows, as OpenAI's clients take it, with its /v1; empty: none is asked
    model: str = ""  # its name there
    key_file: Path | None = None  # file that holds the API key
    key_env: str = (
        "HOMEOSTAT_SYNTHETIC_KEY"  # else the variable of the environment that holds it; without, none is sent
    )
    rows: int = 50  # wanted for each label, and for each value of `group` with it
    group: str = ""  # a tag's name, such as language: rows are written for each of its values; empty: by label alone
    per_call: int = 5  # rows that one call asks for
    rounds: int = 5  # of calls, each for what is still lacking; then the labels that lack rows are named
    max_calls: int = 5_000  # of one order; both calls for a row count, repeated tries do not
    max_tokens: int = 5_000_000  # likewise, prompts and answers; those of the round under way come on top
    temperature: float = 0.8  # of what is written; labels are confirmed at 0
    timeout_s: float = 60.0  # for one answer
    tries: int = 3  # for one answer, with a wait between them that doubles
    back_off_s: float = 1.0  # the first such wait
    concurrency: int = 4  # answers asked for at once
    body: dict[str, Any] = field(default_factory=dict)  # laid over each request, such as max_completion_tokens

    def __post_init__(self) -> None:
        within = f"a share above 0, and {LARGEST_SHARE} at most: with more a model learns from itself"
        require(self, "max_share", 0 < self.max_share <= LARGEST_SHARE, within)
        address = urlsplit(self.url)
        plain = address.scheme in ("http", "https") and address.netloc and not (address.query or address.fragment)
        if "@" in self.url:
            raise ValueError("SyntheticSettings.url is (not shown), expected an address without a password in it")
        require(self, "url", not self.url or bool(plain), "an address such as https://host/v1, or none")
        require(self, "model", not self.url or bool(self.model.strip()), "the model's name, where url is set")
        for name in ("rows", "per_call", "rounds", "tries", "concurrency"):
            require(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("max_calls", "max_tokens", "back_off_s"):
            require(self, name, getattr(self, name) >= 0, "0 or more")
        require(self, "temperature", 0 <= self.temperature <= 2, "0 to 2")
        require(self, "timeout_s", 0 < self.timeout_s < float("inf"), "a positive number of seconds")
        try:
            json.dumps(self.body, allow_nan=False)
        except (TypeError, ValueError):
            require(self, "body", False, "values that JSON has")
