"""Rows without anything private: each value has the surrogate that the gateway would have given it, under its tenant's
key. So no model learns a person's data, nor the brackets that masked it once.

The gateway masks by patterns of its own before an event leaves it; here Presidio looks through what it has missed. A
text is looked through once, whichever rows and parts it stands in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from monitor.describe.pii import PATTERNS, PLACEHOLDERS, replaced
from monitor.describe.private.accounts import SIZES
from monitor.describe.private.surrogates import Surrogates
from retrain.data.example import Example
from retrain.data.privacy.recognisers import Recognisers
from retrain.settings import PiiSettings
from streams.messages import Message

T = TypeVar("T")
STRICT = frozenset({"id", "ip"})  # looked for first: the gateway's patterns would take a part of one for a telephone's
EXAMPLES = {  # of the values that a placeholder stood for: what takes its place has their shape
    "secret": "password-0000000000",
    "email": "a0000000000@b.c",
    "iban": "DE89370400440532013000",
    "card": "4111 1111 1111 1111",
    "phone": "+49 171 2345678",
}


@dataclass(slots=True)
class Anonymity:
    """What takes private values out. `key`: of a tenant, by whose pseudonym it is known."""

    settings: PiiSettings
    key: Callable[[str], bytes]
    _known: dict[bytes, str] = field(default_factory=dict)
    _recognisers: Recognisers | None = None

    def rows(self, rows: Sequence[Example]) -> list[Example]:
        """Return the rows without private values. Raise ValueError where the model that finds names is missing."""
        return [self._row(row) for row in rows]

    def text(self, text: str, tenant: str = "", place: str = "") -> str:
        """Return a text likewise. `place`: what tells its placeholders from another text's."""
        digest = hashlib.blake2b(f"{tenant}\0{place if '[' in text else ''}\0{text}".encode(errors="replace")).digest()
        if digest not in self._known:
            self._known[digest] = self._clean(text, Surrogates(self.key(tenant)), place)
        return self._known[digest]

    def _clean(self, text: str, surrogate: Surrogates, place: str) -> str:
        kinds = frozenset(self.settings.kinds)
        for kind, mark in PLACEHOLDERS.items():
            if mark in text and kind in kinds:
                text = text.replace(mark, _stand_in(surrogate, kind, place))
        text = self._without(text, STRICT, surrogate)
        text = replaced(text, [kind for kind in PATTERNS if kind in kinds], surrogate)
        return self._without(text, kinds - STRICT, surrogate)

    def _without(self, text: str, kinds: Collection[str], surrogate: Surrogates) -> str:
        if self._recognisers is None:
            self._recognisers = Recognisers(frozenset(self.settings.kinds), self.settings.spacy_model)
        parts, at = [], 0
        for start, end, kind in self._recognisers.spans(text, kinds):
            value = text[start:end]
            few = kind == "card" and sum(map(str.isdecimal, value)) < SIZES.start  # a card's surrogate is longer
            parts += [text[at:start], surrogate("id" if few else kind, value)]
            at = end
        return "".join([*parts, text[at:]])

    def _row(self, row: Example) -> Example:
        if not self.settings.kinds:
            return row
        messages = [self._message(each, row) for each in row.messages]
        completion, predicted = (self.text(each, row.tenant, row.id) for each in (row.completion, row.predicted))
        return replace(row, messages=messages, completion=completion, predicted=predicted)

    def _message(self, message: Message, row: Example) -> Message:
        calls = [replace(each, arguments=self.text(each.arguments, row.tenant, row.id)) for each in message.tool_calls]
        return replace(message, content=self.text(message.content, row.tenant, row.id), tool_calls=calls)


def _stand_in(surrogate: Surrogates, kind: str, place: str) -> str:
    """Return a surrogate for a value that is not known any more."""
    value = EXAMPLES[kind]
    digits = str(int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest()))
    signs = iter(digits)
    return surrogate(kind, "".join(next(signs, "7") if each.isdecimal() else each for each in value))
