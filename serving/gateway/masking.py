"""Personal data and secrets, taken out of texts before they leave the process.

Each finding of `monitor.describe.pii` is replaced by its kind, so that a reader still sees that something was there."""

from __future__ import annotations

from collections.abc import Iterable

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
