"""First adapters by command."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from deploy.config.settings import Config
from deploy.operator.rows import read_file
from deploy.show.meter import meter
from deploy.stack.lifecycle import model_folder
from retrain.adapters import Adapter
from streams.files import private_folder
from streams.identity import version_name
from streams.objects.opening import Storage


def train(config: Config, alias: str, rows: Path, console: Console) -> Adapter:
    """Train on a file of rows (`deploy.operator.rows`), showing progress. Raise ValueError naming file, line and field,
    or why the model cannot be trained."""
    from retrain.first_adapter import first_adapter

    version_name(alias, "0" * 64)  # an unusable alias is refused before anything expensive
    read = read_file(rows)
    private_folder(config.stack.var)
    with meter(console, "training") as progress:
        return first_adapter(
            [row.example() for row in read],
            alias=alias,
            model_dir=model_folder(config.stack),
            stored=Storage(config.storage.absolute(), config.stack.var.resolve()),
            settings=config.retrain,
            progress=progress,
        )
