"""The ids of an order's rows, kept until the order is finished. Once a reply is deleted, only its id shows that a label
which comes later, a dataset's row or an alarm's page is about it. The ids have no name in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import msgspec

from deploy.operator.erasure.order import ERASURES, readable
from streams.lake.erasure import Days
from streams.objects import store as objects
from streams.objects.store import ObjectStore

Kind = Literal["replies", "labels"]


@dataclass(frozen=True, slots=True)
class KeptIds:
    """The ids of one order: an object for each kind of row and day, which has each row's id and the reply's that it is
    about."""

    store: ObjectStore
    order: str

    def add(self, kind: Kind, days: Days) -> dict[str, int]:
        """Keep the ids, and return how many each of these days has by now. Again changes nothing."""
        return {day.isoformat(): self._add(kind, day, rows.ids) for day, rows in sorted(days.items())}

    def all(self, kind: Kind) -> dict[str, str]:
        """Return all ids of a kind, each with the reply that it is about."""
        found: dict[str, str] = {}
        for key in self.store.list(f"{ERASURES}/{self.order}/{kind}"):
            found |= self._read(key)
        return found

    def drop(self) -> None:
        """Delete all of them."""
        for key in list(self.store.list(f"{ERASURES}/{self.order}")):
            self.store.delete(key)

    def _add(self, kind: Kind, day: date, ids: Mapping[str, str]) -> int:
        key = f"{ERASURES}/{self.order}/{kind}/{day.isoformat()}.json"
        known = self._read(key)
        together = {**known, **ids}
        if together != known:
            objects.replace(self.store, key, msgspec.json.encode(together))
        return len(together)

    def _read(self, key: str) -> dict[str, str]:
        """Raise OrderDamaged where the object cannot be read."""
        try:
            data = self.store.get(key).data
        except FileNotFoundError:
            return {}
        return readable(self.store, key, data, dict[str, str])
