"""A first adapter by command, and finding adapters again by their version."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from deploy.config.settings import Config
from deploy.demo import data as files
from deploy.show.meter import meter
from deploy.stack.lifecycle import model_folder
from retrain.adapters import Adapter
from streams.files import private_folder
from streams.identity import adapter_path, version_name


def tune(config: Config, alias: str, rows: Path, console: Console) -> Adapter:
    """Trains on a file of {"text", "label"} rows, showing progress. Raises ValueError naming file, line and field, or
    what keeps the model from being trained."""
    from retrain.first_adapter import first_adapter

    version_name(alias, "0" * 64)  # an alias that cannot be one is told before anything expensive
    told = files.read_file(rows)
    private_folder(config.stack.var)
    with meter(console, "training") as progress:
        return first_adapter(
            [(row.text, row.label) for row in told],
            alias=alias,
            model_dir=model_folder(config.stack),
            var=config.stack.var,
            settings=config.retrain,
            progress=progress,
        )


def digest_of(config: Config, alias: str, version: str) -> str:
    """The full digest of an adapter in the store. Raises LookupError naming those that are there."""
    root = config.stack.var / "adapters"
    known = {version_name(alias, path.name): path.name for path in sorted((root / alias).glob("?*")) if _whole(path)}
    if version not in known:
        names = ", ".join(known) or f"none; homeostat train {alias} ROWS makes one"
        raise LookupError(f"{version}: no such adapter in {root / alias}; known: {names}")
    return adapter_path(root, alias, known[version]).name


def _whole(path: Path) -> bool:
    return path.is_dir() and len(path.name) == 64
