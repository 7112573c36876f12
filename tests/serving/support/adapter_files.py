"""Adapters as files, made without torch: one LoRA pair whose bytes are the given text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streams.identity import PROOF_FILE, adapter_digest, adapter_key, version_name
from streams.proof import Proof, encode

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
BASE = "base-model"


def write(folder: Path, text: str = "weights", *, r: int = 8, proof: Proof | None = None, **config: Any) -> Path:
    """An adapter of rank `r`; different texts are different bytes."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": r, **config}))
    (folder / "adapter_model.safetensors").write_bytes(weights(text, r))
    if proof is not None:
        (folder / PROOF_FILE).write_bytes(encode(proof))
    return folder


def weights(
    text: str,
    r: int = 8,
    names: tuple[str, str] = ("lora_A.weight", "lora_B.weight"),
    extra: dict[str, Any] | None = None,
) -> bytes:
    """A safetensors file; `extra` goes into its header."""
    data = (text.encode() * 64)[: 16 * r].ljust(16 * r, b"\0")
    half = len(data) // 2
    header: dict[str, Any] = {
        f"{LAYER}.{names[0]}": {"dtype": "U8", "shape": [r, half // r], "data_offsets": [0, half]},
        f"{LAYER}.{names[1]}": {"dtype": "U8", "shape": [half // r, r], "data_offsets": [half, 2 * half]},
        "__metadata__": {"format": "pt"},
        **(extra or {}),
    }
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


def store(root: Path, text: str, alias: str = "support", **config: Any) -> tuple[str, str]:
    """The adapter at its address in the store at the root: its version and digest."""
    folder = write(root / "adapters" / f".new-{text}", text, **config)
    digest = adapter_digest(folder, BASE)
    path = root / adapter_key(alias, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(path)
    return version_name(alias, digest), digest
