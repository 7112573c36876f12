"""The champion that a job's candidate is compared with: its very bytes, on the base model that it was trained on."""

from __future__ import annotations

from pathlib import Path

from retrain.base_model import base_model_id, check_model, former_base_model_id
from retrain.job_files import JobSpec
from streams.identity import adapter_digest, adapter_key

OTHER_BASE = (
    "altered, or another base model's. Where stack.model was changed, set retrain.champion_model to the model before, "
    "and retrain.champion_engine to the URL of a vLLM that serves it with --enable-lora, --max-lora-rank of the "
    "champion's r, and VLLM_ALLOW_RUNTIME_LORA_UPDATING=1; adapters are read by their path"
)


def stored_champion(spec: JobSpec) -> Path:
    """Return the champion's folder, once its bytes match its name. Raises ValueError, FileNotFoundError."""
    before = spec.settings.champion_model
    model = Path(before) if before else spec.model_dir
    if before:
        check_model(model)
    path = spec.trees().fetch(adapter_key(spec.request.alias, spec.champion_digest))
    found = adapter_digest(path, base_model_id(model, spec.var / "digests"))
    if spec.champion_digest not in (found, adapter_digest(path, former_base_model_id(model))):
        raise ValueError(f"{path}: digest is {found}, expected {spec.champion_digest}: {OTHER_BASE}")
    return path
