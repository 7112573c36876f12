"""The same event at two offsets: the recent ids of a partition, so that the second one is dropped."""

from __future__ import annotations

from collections.abc import Iterable


class RecentIds:
    """Ids of one partition's last `span` offsets.

    An event is a repetition when its id stands at an earlier offset within `span`. That depends on the log alone,
    never on a worker's start: `recall` the offsets before the first one you read, and every answer is the same.

    >>> recent = RecentIds(span=10)
    >>> recent.recall([("a", 0)])
    >>> [recent.repeated("a", 1), recent.repeated("b", 2), recent.repeated("b", 2), recent.repeated("b", 13)]
    [True, False, False, False]
    """

    def __init__(self, span: int) -> None:
        self.span = span
        self._last: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._last)

    def recall(self, seen: Iterable[tuple[str, int]]) -> None:
        """Take the ids before the first offset read, in the order of their offsets."""
        for id, offset in seen:
            self.repeated(id, offset)

    def repeated(self, id: str, offset: int) -> bool:
        """Return whether the event at `offset` repeats an earlier one. Asking twice for one offset changes nothing."""
        last = self._last.pop(id, None)
        self._last[id] = offset  # as the newest: a dict keeps the order in which keys came
        if len(self._last) > 2 * self.span:
            self._forget(offset)
        return last is not None and offset - self.span <= last < offset

    def _forget(self, offset: int) -> None:
        """Seldom, for it looks at all of them; ids kept for longer than they count change no answer."""
        self._last = {id: at for id, at in self._last.items() if at >= offset - self.span}
