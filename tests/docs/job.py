"""`docs/job.schema.json`: the description of a retraining's job as a JSON schema."""

from __future__ import annotations

import json
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import msgspec

from deploy.config.comments import comments
from retrain import job_files
from retrain.job_files import JobSpec
from retrain.settings import RetrainSettings
from streams import events
from streams.objects.settings import StorageSettings

KINDS: dict[str, type] = {
    name: kind
    for module in (job_files, events)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, msgspec.Struct))
} | {"RetrainSettings": RetrainSettings, "StorageSettings": StorageSettings}


def document() -> str:
    """Return the schema, each field with its comment."""
    schema = msgspec.json.schema(JobSpec, schema_hook=_hook)
    for name, part in schema["$defs"].items():
        texts = comments(KINDS[name]) if name in KINDS else {}
        part["description"] = " ".join(part.get("description", "").split())
        for field, about in part.get("properties", {}).items():
            if field in texts:
                part["properties"][field] = {"description": texts[field], **about}
    return json.dumps(schema, indent=2, sort_keys=True, default=str) + "\n"


def _hook(kind: Any) -> dict[str, str]:
    if kind is Path:
        return {"type": "string"}
    raise NotImplementedError
