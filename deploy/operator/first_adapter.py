"""First adapters by command, and adapters of the store by their version."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from deploy.config.settings import Config
from deploy.operator.rows import read_file
from deploy.show.meter import meter
from deploy.stack.lifecycle import model_folder
from retrain.adapters import Adapter
from streams.files import private_folder
from streams.identity import adapter_path, version_name


def tune(config: Config, alias: str, rows: Path, console: Console) -> Adapter:
    """Train on a file of {"text", "label"} rows, showing progress. Raise ValueError naming file, line and field, or why
    the model cannot be trained."""
    from retrain.first_adapter import first_adapter

    version_name(alias, "0" * 64)  # an unusable alias is refused before anything expensive
    read = read_file(rows)
    private_folder(config.stack.var)
    with meter(console, "training") as progress:
        return first_adapter(
            [(row.text, row.label) for row in read],
            alias=alias,
            model_dir=model_folder(config.stack),
            var=config.stack.var,
            settings=config.retrain,
            progress=progress,
        )


def digest_of(config: Config, alias: str, version: str) -> str:
    """Return the full digest of an adapter in the store. Raise LookupError naming those that are there."""
    root = config.stack.var / "adapters"
    digests = [path.name for path in sorted((root / alias).glob("?*")) if path.is_dir() and len(path.name) == 64]
    known = {version_name(alias, digest): digest for digest in digests}
    if version not in known:
        names = ", ".join(known) or f"none; homeostat train {alias} ROWS makes one"
        raise LookupError(f"{version}: no such adapter in {root / alias}; known: {names}")
    return adapter_path(root, alias, known[version]).name
