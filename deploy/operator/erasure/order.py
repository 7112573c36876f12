"""The order to forget a person, which is the record of it, too: an object that is written before the first deletion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from monitor.canonical import UNREADABLE
from retrain.data.erasure import RewrittenDataset
from streams.identity import uuid7
from streams.lake.person import ErasedPerson
from streams.objects.store import ObjectStore

T = TypeVar("T")
ERASURES = "erasures"  # the prefix of the keys
Named = Literal["client", "user", "conversation"]


class OrderTaken(RuntimeError):
    """Another process works on the order."""


class OrderDamaged(ValueError):
    """An object of the order cannot be read: the order waits until that is mended."""


class Remainder(msgspec.Struct, frozen=True):
    """A place where something of the person may be for a while. `until_ms`: when the last of it goes by itself; None:
    it is not known, `why` says what it depends on."""

    place: str
    until_ms: int | None
    why: str


class AskedRetraining(msgspec.Struct, frozen=True, kw_only=True):
    """A retraining that was asked for, so that another adapter takes the place of one that has learned from the
    person."""

    request_id: str
    alias: str
    champion: str
    asked_ms: int
    status: str = ""  # how it ended (`streams.kinds.RetrainStatus`); empty: it has not
    reason: str = ""
    candidate: str = ""
    ended_ms: int = 0


class ErasureOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to be forgotten, what was done, and what remains. Counts are of rows that were found, by the log's day."""

    id: str
    named: Named  # what the operator gave
    person: ErasedPerson
    asked_ms: int
    until_ms: int  # what the person sent before goes
    replies: dict[str, int] = {}
    labels: dict[str, int] = {}
    waiting: list[str] = []  # days whose rows are still to be deleted
    datasets: list[RewrittenDataset] = []
    # version -> trained, judged (on rows that went, and those labelled meanwhile) or descended (from a trained one)
    adapters: dict[str, str] = {}
    serving: dict[str, str] | None = None  # of these, version -> "champion of support"; None: Kafka was not asked
    retrainings: list[AskedRetraining] = []
    answering: list[str] | None = None  # of these, "VERSION, champion of ALIAS"; None: Kafka was not asked
    reports: list[str] = []  # alarms whose page was deleted
    runs: list[str] = []  # MLflow's, whose files were replaced
    problems: list[str] = []  # of the last round
    old_files_h: int = 24  # that a replaced file of the lake stays, for readers that have it open
    deleted_ms: int = 0  # when rows went from the lake last
    vacuumed_ms: int = 0  # when the lake's old files went last
    remains: list[Remainder] = []
    last_byte_ms: int = 0  # when the last of what has a time goes
    looked_ms: int = 0  # when the last whole round began; 0: none is through yet
    finished_ms: int = 0  # 0 while the order is open


@dataclass(slots=True)
class OrderRecord:
    """An order in the store. One process at a time changes it."""

    store: ObjectStore
    order: ErasureOrder
    etag: str

    @classmethod
    def begun(cls, store: ObjectStore, named: Named, person: ErasedPerson, now_ms: int) -> OrderRecord:
        """Put a new order, and return it."""
        order = ErasureOrder(id=uuid7(now_ms), named=named, person=person, asked_ms=now_ms, until_ms=now_ms)
        store.put_if_absent(_key(order.id), _encoded(order))
        return cls.read(store, order.id)

    @classmethod
    def read(cls, store: ObjectStore, id: str) -> OrderRecord:
        """Return the order as it is. Raise FileNotFoundError where there is none, OrderDamaged where it cannot be
        read."""
        found = store.get(_key(id))
        order = readable(store, _key(id), found.data, ErasureOrder)
        if order.id != id:
            raise OrderDamaged(
                f"{store.name}/{_key(id)}: id is {order.id!r}, expected {id!r}: delete a copy of an order"
            )
        return cls(store, order, found.etag)

    def write(self, **changes: Any) -> None:
        """Change the order. Raise OrderTaken where another process did meanwhile."""
        order = replace(self.order, **changes)
        if order == self.order:
            return
        data = _encoded(order)
        taken = not self.store.put_if_match(_key(order.id), data, self.etag)
        found = self.store.get(_key(order.id))
        if taken or found.data != data:
            raise OrderTaken(f"order {order.id}: another `homeostat forget` works on it; wait until that is through")
        self.order, self.etag = order, found.etag


@dataclass(frozen=True, slots=True)
class FoundOrders:
    """All orders, the oldest first, and why others cannot be read."""

    readable: list[OrderRecord] = field(default_factory=list)
    damaged: list[OrderDamaged] = field(default_factory=list)


def orders(store: ObjectStore) -> FoundOrders:
    """Read all orders. One that is damaged hides no other."""
    found = FoundOrders()
    for id in _ids(store):
        try:
            found.readable.append(OrderRecord.read(store, id))
        except OrderDamaged as error:
            found.damaged.append(error)
    return found


def order_of(store: ObjectStore, beginning: str) -> ErasureOrder:
    """Return the one order whose id begins so. Raise LookupError where there is none or more than one, OrderDamaged
    where it cannot be read."""
    ids = [id for id in _ids(store) if id.startswith(beginning)]
    if not ids:
        raise LookupError(f"no order's id begins with {beginning!r}; `homeostat forget --list` shows all")
    if len(ids) > 1 and beginning not in ids:
        raise LookupError(f"{len(ids)} orders' ids begin with {beginning!r}, expected one: {', '.join(ids)}")
    return OrderRecord.read(store, beginning if beginning in ids else ids[0]).order


def readable(store: ObjectStore, key: str, data: bytes, shape: type[T]) -> T:
    """Return an order's object decoded. Raise OrderDamaged, which names it."""
    try:
        return msgspec.json.decode(data, type=shape)
    except UNREADABLE as error:
        raise OrderDamaged(
            f"{store.name}/{key}: {error}; expected an object of this release: restore it from a backup, or use the "
            "release that wrote it"
        ) from error


def _ids(store: ObjectStore) -> list[str]:
    ids = ((key, key.removeprefix(f"{ERASURES}/").removesuffix(".json")) for key in store.list(ERASURES))
    return [id for key, id in ids if _key(id) == key and "/" not in id]


def _key(id: str) -> str:
    return f"{ERASURES}/{id}.json"


def _encoded(order: ErasureOrder) -> bytes:
    return msgspec.json.format(msgspec.json.encode(order))
