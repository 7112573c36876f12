"""The store that the settings name, opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.objects.folder import FolderStore
from streams.objects.settings import StorageSettings
from streams.objects.store import ObjectStore
from streams.objects.tree import Trees

PATIENCE_S = 60.0  # how long a bucket may be away before that is an error


@dataclass(frozen=True, slots=True)
class Storage:
    """Where all stands that is kept: in the bucket or the folder of the settings, else in `var`, this machine's own
    folder, which also has what no other machine needs, and the cache of a bucket."""

    settings: StorageSettings = field(default_factory=StorageSettings)
    var: Path = Path("var")

    @property
    def options(self) -> Mapping[str, str]:
        """Return the options of the bucket's client; none for a folder."""
        return self.settings.options

    @property
    def folder(self) -> Path:
        """Return the folder in which all stands that is in no bucket."""
        return self.settings.folder(self.var.resolve())

    def address(self, name: str) -> str:
        """Return where something stands: its address in the bucket, or its absolute path.

        >>> Storage(StorageSettings(url="s3://bucket/prefix")).address("lake")
        's3://bucket/prefix/lake'
        """
        return self.settings.address(name) or str(self.folder / name)

    def page(self, name: str) -> str:
        """Return where a person opens an object: at `storage.pages` where that is set, else as `address`."""
        pages = self.settings.pages.rstrip("/")
        return f"{pages}/{name}" if pages else self.address(name)

    def trees(self, patience_s: float = PATIENCE_S) -> Trees:
        """Return the trees and, in their store, the single objects. A bucket is not asked yet. Raise ValueError naming
        an option that is none."""
        if not self.settings.in_bucket:
            return Trees(FolderStore(self.folder), self.folder)
        from streams.objects.bucket import opened

        store = opened(self.settings, patience_s)
        return Trees(store, (self.settings.cache or self.var / "cache").resolve())

    def objects(self, patience_s: float = PATIENCE_S) -> ObjectStore:
        """Return the single objects, as `trees` does."""
        return self.trees(patience_s).store
