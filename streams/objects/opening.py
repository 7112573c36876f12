"""The store that the settings name, opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

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

    def uri(self, name: str) -> str:
        """Return where something stands as a URI, which another process finds it by.

        >>> Storage(var=Path("/var/lib/homeostat")).uri("datasets/0123")
        'file:///var/lib/homeostat/datasets/0123'
        """
        return self.settings.address(name) or (self.folder / name).as_uri()

    def key(self, uri: str) -> str:
        """Return the key of what stands in this store under the URI; empty where it stands elsewhere.

        >>> Storage(StorageSettings(url="s3://bucket/prefix")).key("s3://bucket/prefix/adapters/support/0123")
        'adapters/support/0123'
        """
        home = f"{self.uri('').rstrip('/')}/"
        return uri.removeprefix(home).strip("/") if uri.startswith(home) else ""

    def local(self, uri: str, near: Path) -> Path:
        """Return the path on this machine of what a URI names: a tree of this store, fetched where that is a bucket; a
        file or folder by `file://`; or a path, from the folder `near` on. Raise as `Trees.fetch`, and ValueError where
        it stands in another store."""
        key = self.key(uri)
        if key and self.settings.in_bucket:
            return self.trees().fetch(key)
        found = urlsplit(uri)
        if found.scheme not in ("", "file"):
            raise ValueError(f"{uri}: not in this store ({self.uri('')}), expected a URI of it, file:///..., or a path")
        return near / unquote(found.path if found.scheme else uri)

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
