"""A store of objects in a folder, as stack.var is one."""

from __future__ import annotations

from pathlib import Path

from streams.objects.opening import Storage
from streams.objects.settings import StorageSettings
from streams.objects.tree import Trees


def in_folder(folder: Path) -> Trees:
    """The trees of the folder."""
    return Storage(StorageSettings(), folder).trees()
