"""One try of the proof of effect: an adapter with its proof, the one before, and what an engine may serve instead."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id
from retrain.training.proofs.proof import write_proof
from streams.events import ReplicaAttested
from streams.proof import Proof
from tests.retrain.support import faulty_engine
from tests.retrain.support.faulty_engine import (
    ALPHA,
    ANOTHER,
    BASE,
    CHANGED,
    HALF,
    LAYERS,
    OTHER_BASE,
    STALE,
    FaultyEngine,
    Tensors,
    attested,
    drawn,
    trained_on,
    written,
)
from tests.support import tiny_model
from tests.support.folder import in_folder


@dataclass(frozen=True, slots=True)
class Bases:
    """A base model, and another one of the same shape."""

    right: Path
    other: Path
    id: str

    @classmethod
    def made(cls, folder: Path) -> Bases:
        right = tiny_model.model(folder / "model", LAYERS)
        other = faulty_engine.other_base(right, folder / "other")
        return cls(right, other, base_model_id(right))


@dataclass(frozen=True, slots=True)
class ProvenAdapter:
    """An adapter in a store of its own. `root` holds it, and what is served in its place."""

    bases: Bases
    root: Path
    dtype: str
    seed: int
    tensors: Tensors
    before: Path
    adapter: Adapter
    proof: Proof

    @classmethod
    def made(cls, bases: Bases, root: Path, dtype: str, seed: int) -> ProvenAdapter:
        shutil.rmtree(root, ignore_errors=True)
        first = drawn(seed, tiny_model.WIDTH)
        before, after = written(root / "before", first), trained_on(first, seed + 1)
        folder = written(root / "after", after)
        proof = write_proof(folder, bases.right, before, dtype)
        adapter = commit(folder, in_folder(root), "support", bases.id)
        return cls(bases, root, dtype, seed, after, before, adapter, proof)

    def right(self) -> ReplicaAttested:
        """What is attested where the engine serves it."""
        return self._attested(self.adapter.path, self.bases.right)

    def wrong(self, kind: str) -> ReplicaAttested:
        """What is attested where the engine serves something else under its name."""
        if kind == BASE:
            return self._attested(None, self.bases.right)
        if kind == OTHER_BASE:
            return self._attested(self.adapter.path, self.bases.other)
        return self._attested(self.before if kind == STALE else self._instead(kind), self.bases.right)

    def _instead(self, kind: str) -> Path:
        folder = self.root / f"served-{kind.replace(' ', '-')}"
        if kind == HALF:
            return written(folder, self.tensors, ALPHA // 2)
        if kind == ANOTHER:
            return written(folder, drawn(self.seed + 1_000, tiny_model.WIDTH))
        return written(folder, CHANGED[kind](self.tensors, random.Random(f"{self.seed} {kind}")))

    def _attested(self, serves: Path | None, model_dir: Path) -> ReplicaAttested:
        engine = FaultyEngine(self.dtype, model_dir, serves, random.Random(self.seed))
        return attested(self.root, self.adapter, self.bases.id, engine)
