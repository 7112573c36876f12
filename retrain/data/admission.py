"""Rows that a dataset may be made of: allowed to be used, not the model's own unreviewed answers, of a size that a
training takes, and without anything private."""

from __future__ import annotations

import secrets
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monitor.metrics import normalise
from retrain.data.classes import classes
from retrain.data.example import Example
from retrain.data.privacy.anonymity import Anonymity
from retrain.settings import RetrainSettings
from streams.files import put_new
from streams.identity import Signer

LONGEST = 1_000_000  # characters of a row: no model takes so many tokens
TOO_LONG = f"longer than {LONGEST:,} characters"
NOTHING_ASKED, NOTHING_ANSWERED = "nothing visible is asked", "its answer has nothing visible"
OWN = "the model's own answer, which nobody with the scope review confirmed"


@dataclass(frozen=True, slots=True)
class RowAdmission:
    """What decides which rows may be used."""

    consent: Mapping[str, Sequence[str]]
    anonymity: Anonymity

    @classmethod
    def of(cls, settings: RetrainSettings, var: Path) -> RowAdmission:
        """Return the admission by these settings; private values get surrogates by the installation's key."""
        return cls(settings.consent, Anonymity(settings.pii, tenant_keys(var, settings.pii.mask_key_file)))

    def __call__(self, rows: Sequence[Example], dropped: Counter[str]) -> list[Example]:
        """Return the rows that may be used, and count the others by reason. Raise ValueError where the model that finds
        names is missing."""
        kept = []
        known = classes(Counter(row.label for row in rows if not row.unlabelled), {})
        for row in rows:
            if why := self._objection(row, known):
                dropped[why] += 1
            else:
                kept.append(row)
        return self.anonymity.rows(kept)

    def _objection(self, row: Example, known: frozenset[str]) -> str:
        for tag, allowed in self.consent.items():
            if row.tags.get(tag, "") not in allowed:
                return f"{tag} = {row.tags.get(tag, '')!r} does not allow it (retrain.consent)"
        if len(row.text) + len(row.completion) > LONGEST:
            return TOO_LONG
        if row.messages and not (row.messages[-1].tool_calls or visible(row.messages[-1].content)):
            return NOTHING_ASKED
        if row.completion and not visible(row.completion):
            return NOTHING_ANSWERED
        own = bool(row.label) and row.label == normalise(row.predicted)
        return OWN if own and not (row.reviewed or row.judges or row.label in known) else ""


def visible(text: str) -> bool:
    """Check that a text has a character that readers see: blanks, marks without width and controls are none.

    >>> visible("?"), visible(" \\n\\u200b\\x00")
    (True, False)
    """
    return any(not each.isspace() and unicodedata.category(each) not in ("Cc", "Cf") for each in text)


def tenant_keys(var: Path, given: Path | None = None) -> Callable[[str], bytes]:
    """Return the key of each tenant, by its pseudonym: the gateway's own, where its secret is given or in the folder. A
    trainer on a machine of its own makes one, which gives the same value the same surrogate in all of its datasets.
    Raise ValueError where the one that is given is not there."""
    path = given or var / "secrets" / "signing.key"
    if given is not None and not given.is_file():
        raise ValueError(f"retrain.pii.mask_key_file is {given}, expected the file of the key by which gateways mask")
    if not path.exists():
        put_new(path, secrets.token_urlsafe(32).encode(), forced=True)
    return Signer(path.read_text(encoding="ascii").strip().encode()).tenant_key
