"""An installation with rows of two keys in the lake, in datasets and on an alarm's page; and lives that end at any
step of an erasure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from deploy.operator.erasure.kept_ids import KeptIds
from deploy.operator.erasure.order import ErasureOrder, orders
from deploy.operator.erasure.relearning import LoopLog
from deploy.operator.erasure.rounds import ErasurePlaces
from retrain.data import manifest
from retrain.data.dataset import Dataset
from streams.lake import erasure
from streams.lake.erasure import Persistence
from streams.lake.lake import Lake
from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.store import ObjectStore, Stored
from streams.objects.tree import Trees
from streams.reports.page import ReportExample, lines
from streams.topics import FEEDBACK, INFERENCE
from tests.retrain.support.rows import row
from tests.streams.support.lakes import put, stored
from tests.streams.support.traffic import START_MS, feedback, served

DAY_MS = 86_400_000
NOW_MS = START_MS + 5 * DAY_MS
CLIENTS = ("app/ann", "app", "shop/ann", "shop")
REPLIES = [
    replace(served("support", i, time_ms=START_MS + i % 2 * DAY_MS + i), client=CLIENTS[i % len(CLIENTS)])
    for i in range(16)
]
TAUGHT, JUDGED, LATER, OTHER = (f"support-{'0' * 11}{name}" for name in "abcd")


class Killed(BaseException):
    """The process ends here."""


@dataclass(slots=True)
class Fuse:
    """Ends the process at the `left`-th step; None: never."""

    left: int | None = None
    steps: int = 0

    def burn(self) -> None:
        self.steps += 1
        if self.left is not None and self.steps > self.left:
            raise Killed


@dataclass(frozen=True, slots=True)
class MortalStore:
    """A store whose user may die before each change: after it is before the next."""

    inner: ObjectStore
    fuse: Fuse

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def folder(self) -> Path | None:
        return self.inner.folder

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        self.fuse.burn()
        return self.inner.put_if_absent(key, content, forced=forced)

    def put_if_match(self, key: str, content: bytes, etag: str, *, forced: bool = True) -> bool:
        self.fuse.burn()
        return self.inner.put_if_match(key, content, etag, forced=forced)

    def holds(self, key: str) -> bool:
        return self.inner.holds(key)

    def get(self, key: str) -> Stored:
        return self.inner.get(key)

    def list(self, prefix: str) -> Iterator[str]:
        return self.inner.list(prefix)

    def older(self, prefix: str, before_s: float) -> Iterator[str]:
        return self.inner.older(prefix, before_s)

    def delete(self, key: str) -> None:
        self.fuse.burn()
        self.inner.delete(key)


@dataclass(frozen=True, slots=True)
class MortalTrees(Trees):
    """Trees of such a user."""

    fuse: Fuse = field(default_factory=Fuse)

    def put(self, key: str, scratch: Path) -> Path:
        self.fuse.burn()
        return Trees.put(self, key, scratch)

    def delete(self, key: str) -> None:
        self.fuse.burn()
        Trees.delete(self, key)


@dataclass(slots=True)
class Installation:
    """Its store, its lake, its clock."""

    storage: StorageSettings
    var: Path
    now_ms: int = NOW_MS
    fuse: Fuse = field(default_factory=Fuse)
    loop: LoopLog | None = field(default_factory=lambda: LoopLog({}, frozenset(), {}, lambda *_: None))  # none serves

    @property
    def trees(self) -> Trees:
        return Storage(self.storage, self.var).trees(5.0)

    @property
    def lake(self) -> Lake:
        return Lake.of(Storage(self.storage, self.var))

    def places(self) -> ErasurePlaces:
        trees = self.trees
        mortal = MortalTrees(MortalStore(trees.store, self.fuse), trees.home, self.fuse)
        how = Persistence(sleep=lambda _: None)
        mlflow = self.var / "mlflow"
        clock, loop = (lambda: self.now_ms), (lambda: self.loop)
        return ErasurePlaces(self.lake, mortal, mlflow, loop=loop, now_ms=clock, persistence=how)

    def fill(self) -> None:
        """Two days of replies with labels, three datasets with four versions, two pages."""
        put(put(self.lake, INFERENCE, REPLIES), FEEDBACK, [feedback(each, True) for each in REPLIES])
        rows = [row(i, id=each.id, client=each.client, time_ms=each.time_ms) for i, each in enumerate(REPLIES)]
        shop = [each for each in rows if each.client.startswith("shop")]
        self._dataset(Dataset(rows[:8], [], rows[8:], [], {}), TAUGHT, "")
        self._dataset(Dataset(shop[:4], [], rows[8:], [], {}), JUDGED, "")
        self._dataset(Dataset(shop, [], [], [], {}), LATER, TAUGHT)
        self._dataset(Dataset(shop, [], [], [], {}), OTHER, "")
        for alarm, replies in (("theirs", REPLIES[:3]), ("others", REPLIES[2:4])):
            shown = [ReportExample(id=each.id, time_ms=each.time_ms, question="?", answer="!") for each in replies]
            for end, data in ((".examples.jsonl", lines(shown)), (".json", b"{}"), (".html", b"<p>")):
                self.trees.store.put_if_absent(f"reports/{alarm}{end}", data)

    def _dataset(self, dataset: Dataset, version: str, parent: str) -> None:
        listed = manifest.store(self.trees, dataset, alias="support", base_model="base", since_ms=1)
        manifest.remember(self.trees, version, listed.digest, parent)

    def order(self) -> ErasureOrder:
        """The one order."""
        (record,) = orders(self.trees.store).readable
        return record.order

    def state(self) -> dict[str, object]:
        """All that an erasure leaves, but for ids, salts and times."""
        order, trees = self.order(), self.trees
        known = msgspec.structs.asdict(order)
        for name in ("id", "person", "looked_ms", "deleted_ms", "until_ms", "asked_ms", "remains", "last_byte_ms"):
            known.pop(name)
        held = {each: manifest.load(trees, each)[1] for each in trees.digests("datasets")}
        noted = {version: manifest.noted(trees, version) for version in manifest.versions(trees)}
        pages = sorted(self.trees.store.list("reports"))
        ids = KeptIds(trees.store, order.id)
        kept = {**ids.all("replies"), **ids.all("labels")}
        return {"order": known, "rows": stored(self.lake), "held": held, "noted": noted, "pages": pages, "kept": kept}


@contextmanager
def mortal_lake(monkeypatch: pytest.MonkeyPatch, fuse: Fuse) -> Iterator[None]:
    """The eraser may die before each deletion in the lake, too."""
    real = erasure._delete

    def delete(*args: Any) -> bool:
        fuse.burn()
        return real(*args)

    with monkeypatch.context() as patched:
        patched.setattr(erasure, "_delete", delete)
        yield
