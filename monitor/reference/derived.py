"""What is worked out of a reference once, and kept as long as the reference itself is held: with one entry for each
reference that is watched, the hundredth version costs as much as the first.

Beyond a bound in bytes some entries give way, and are worked out again when they are asked for. Which ones is spread
evenly: of a little more than fits most are still there, where the one used longest ago would always be the next one
that is needed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec, Protocol, TypeVar

MOST_BYTES = 256 * 1024 * 1024  # of 2,000 events and 17 descriptors about a thousand references
STRIDE = 7_919  # a prime: which entry gives way is spread over all of them


class Sized(Protocol):
    """Knows how much memory it takes."""

    @property
    def nbytes(self) -> int:
        """Return the bytes that it takes, about."""


R = TypeVar("R")
V = TypeVar("V", bound=Sized | None)
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Entry(Generic[R, V]):
    """A value, of which reference, and for which further arguments."""

    reference: weakref.ref[R]
    arguments: tuple[object, ...]
    value: V

    @property
    def nbytes(self) -> int:
        """Return the bytes of the value."""
        return self.value.nbytes if self.value is not None else 0


class KeptValues(Generic[R, V]):
    """Entries by the identity of their reference; safe for threads."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.nbytes, self.evicted = most_bytes, 0, 0
        self._entries: dict[int, Entry[R, V]] = {}
        self._lock = threading.RLock()  # a reference may go, and take its entry along, while the lock is held

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, reference: R, arguments: tuple[object, ...]) -> Entry[R, V] | None:
        """Return what is kept for these arguments."""
        entry = self._entries.get(id(reference))
        fits = entry is not None and entry.reference() is reference and entry.arguments == arguments
        return entry if fits else None

    def put(self, reference: R, arguments: tuple[object, ...], value: V) -> None:
        """Keep the value in place of an older one of the reference; others give way where it does not fit."""
        place = id(reference)
        entry = Entry(weakref.ref(reference, lambda _: self._drop(place)), arguments, value)
        with self._lock:
            self._drop(place)
            while self._entries and self.nbytes + entry.nbytes > self.most_bytes:
                self.evicted += 1
                self._drop(list(self._entries)[self.evicted * STRIDE % len(self._entries)])
            self._entries[place] = entry
            self.nbytes += entry.nbytes

    def _drop(self, place: int) -> None:
        with self._lock:
            if entry := self._entries.pop(place, None):
                self.nbytes -= entry.nbytes


def derived(
    most_bytes: int = MOST_BYTES,
) -> Callable[[Callable[Concatenate[R, P], V]], Callable[Concatenate[R, P], V]]:
    """Keep a pure function's last value for each reference that is its first argument."""

    def keeping(work: Callable[Concatenate[R, P], V]) -> Callable[Concatenate[R, P], V]:
        kept = KeptValues[R, V](most_bytes)

        def ask(reference: R, /, *args: P.args, **kwargs: P.kwargs) -> V:
            arguments = (*args, *kwargs.items())
            found = kept.get(reference, arguments)
            if found is not None:
                return found.value
            value = work(reference, *args, **kwargs)
            kept.put(reference, arguments, value)
            return value

        ask.__doc__, ask.__name__ = work.__doc__, work.__name__
        return ask

    return keeping
