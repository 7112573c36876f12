"""Personal data and secrets, taken out of texts before they leave the process.

Each finding of `monitor.describe.pii` is replaced by its kind, so that a reader still sees that something was there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from monitor.canonical import UNREADABLE
from monitor.describe.pii import PATTERNS, PLACEHOLDERS, Sketch, Suspicions, seen


class Masker:
    """A replacement of what the kinds named find, as in `[email]`. Raise KeyError for an unknown kind.

    >>> Masker(["email"])("write to ann@example.org")
    'write to [email]'
    """

    def __init__(self, kinds: Iterable[str]) -> None:
        wanted = frozenset(kinds)
        if strange := wanted - PATTERNS.keys():
            raise KeyError(f"mask: {', '.join(sorted(strange))}; expected kinds among {', '.join(PATTERNS)}")
        self._patterns = [(PLACEHOLDERS[kind], pattern) for kind, pattern in PATTERNS.items() if kind in wanted]

    def __call__(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return the text masked. `doubts`: those that the texts of one event share, so that many texts take no longer
        than one."""
        text = seen(text)
        sketch = Sketch([text])
        for name, pattern in self._patterns:
            if pattern.suspects(sketch):
                before, text = text, pattern.replaced(text, name, doubts)
                sketch = sketch if text == before else Sketch([text])
        return text

    def whole(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return the text masked; of JSON each value by itself, so that it stays JSON.

        >>> Masker(["email", "card"]).whole('{"to": "ann@example.org", "cards": [4111111111111111, 7]}')
        '{"to":"[email]","cards":["[card]",7]}'
        """
        if not text.lstrip().startswith(("{", "[")):
            return self(text, doubts)
        try:
            return self.json(text, doubts)
        except UNREADABLE:
            return self(text, doubts)

    def json(self, text: str, doubts: Suspicions | None = None) -> str:
        """Return JSON of any kind likewise. Raise one of UNREADABLE for what is none."""
        if "\\u" not in text and self(text, doubts) == text:
            return text
        value = msgspec.json.decode(text)
        inner = _masked(value, partial(self, doubts=doubts))
        return text if inner == value else msgspec.json.encode(inner).decode()


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_masked(each, mask) for each in value]
    if isinstance(value, dict):
        return {mask(key): _masked(each, mask) for key, each in value.items()}
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    text = str(value)
    masked = mask(text)
    return value if masked == text else masked
