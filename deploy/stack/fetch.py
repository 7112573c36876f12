"""Downloads: fetched or unpacked once, into the cache."""

from __future__ import annotations

import time

from rich.console import Console

from deploy.stack.kafka import classpath
from deploy.stack.settings import cache_folder


def fetch(console: Console) -> None:
    """Fetch Kafka's jars and the demo's base model; quick when they are there."""
    from retrain.base_model import prepare

    cache = cache_folder()
    for what, work in (("Kafka's jars", lambda: classpath(cache)), ("Gemma 3 270M", lambda: prepare(cache / "models"))):
        began = time.monotonic()
        with console.status(f"{what} ..."):
            work()
        console.print(f"  {what}: ready ({time.monotonic() - began:.1f} s)", highlight=False)
    terms = cache / "models/gemma-3-270m/TERMS.txt"
    console.print(f"  Gemma is provided under and subject to the Gemma Terms of Use: {terms}")
