"""A model card as files: `card.json`, Hugging Face's `README.md`, and `index.html`, a page that stands alone. They are
in the store under the version's name, as the adapter is under its digest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from retrain.card import wording
from retrain.card.card import ModelCard
from streams.objects import store as objects
from streams.objects.store import ObjectStore

CARDS = "cards"  # the prefix of their keys
JSON, README, PAGE = "card.json", "README.md", "index.html"
TASKS = {"classes": "text-classification", "sets": "text-classification"}  # of Hugging Face's; else text-generation
SHOWN_LABELS = 40
TONES = {"promote": "good", "reject": "bad", "inconclusive": "open"}


def files(card: ModelCard) -> dict[str, bytes]:
    """Return the card's files by name."""
    return {
        JSON: msgspec.json.format(msgspec.json.encode(card)),
        README: f"---\n{metadata(card)}\n---\n\n{_rendered('readme.md.jinja', card)}".encode(),
        PAGE: _rendered("card.html.jinja", card).encode(),
    }


def keep(store: ObjectStore, card: ModelCard) -> dict[str, bytes]:
    """Put the card's files into the store, and return them. Raise as the store."""
    made = files(card)
    for name, content in made.items():
        objects.replace(store, key(card.version, name), content)
    return made


def kept(store: ObjectStore, version: str, name: str = JSON) -> bytes:
    """Return a file of a version's card. Raise FileNotFoundError where it has none; as the store."""
    return store.get(key(version, name)).data


def key(version: str, name: str) -> str:
    """Return the key of a file of a version's card.

    >>> key("support-0123456789ab", JSON)
    'cards/support-0123456789ab/card.json'
    """
    return f"{CARDS}/{version}/{name}"


def metadata(card: ModelCard) -> str:
    """Return the head of Hugging Face's README.md: base model, library, tags, results."""
    from huggingface_hub import EvalResult, ModelCardData

    measures = card.findings.measures
    task = TASKS.get(measures.kind, "text-generation")
    results = [
        EvalResult(
            task_type=task,
            dataset_type="homeostat",
            dataset_name=f"labelled replies of {card.alias}",
            dataset_revision=card.data.digest,
            metric_type=card.metric if name == "score" and card.metric else name,
            metric_value=value,
        )
        for name, value in measures.whole.candidate.items()
    ]
    found = ModelCardData(
        base_model=card.base_model,
        library_name="peft",
        pipeline_tag="text-generation",  # whatever it is used for, it is loaded as a causal language model
        tags=["lora", "homeostat", card.status],
        license=_licence(card),
        model_name=card.version,
        eval_results=results or None,
    )
    return str(found.to_yaml())


def _licence(card: ModelCard) -> str | None:
    """The rows' licences, where their tags name one alone; the base model's holds besides."""
    licences = card.data.consent.get("licence", card.data.consent.get("license", []))
    return licences[0] if len(licences) == 1 and licences[0] else None


def _rendered(template: str, card: ModelCard) -> str:
    import jinja2

    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=template.endswith(".html.jinja"),
        finalize=None if template.endswith(".html.jinja") else _plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    given: dict[str, Any] = {"card": card, "say": wording, "tone": TONES[card.status], "most": SHOWN_LABELS}
    return environment.get_template(template).render(**given)


def _plain(value: object) -> object:
    """Return a value as a cell of Markdown takes it: groups' names come from clients."""
    if not isinstance(value, str):
        return value
    return " ".join(value.split()).replace("|", "\\|").replace("<", "&lt;")
