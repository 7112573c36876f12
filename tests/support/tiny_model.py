"""A random Llama of 2.5 million parameters and random adapters for it: small enough for two replicas on two cores."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from retrain.adapters import Adapter, commit
from retrain.base_model import base_model_id
from tests.support.folder import in_folder

WIDTH, INNER, LAYERS, HEADS = 256, 1_152, 2, 4
SPECIAL = ("<bos>", "<eos>", "<pad>")
RANK, STRENGTH = 8, 0.5  # of an adapter: strong enough to change every answer


def model(folder: Path, layers: int = LAYERS) -> Path:
    """Writes model and tokenizer, always the same ones."""
    from transformers import LlamaConfig, LlamaForCausalLM

    size = _tokenizer(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=1_024,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(str(folder))
    return folder


def _tokenizer(folder: Path) -> int:
    """Every printable ASCII character and the newline is a token; how many tokens there are."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*(chr(code) for code in range(33, 127)), "Ġ", "Ċ"]  # as the byte level writes space and newline
    vocabulary = {letter: i for i, letter in enumerate([*SPECIAL, *letters])}
    inner = Tokenizer(models.BPE(vocabulary, [], unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    bos, eos, pad = SPECIAL
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=bos, eos_token=eos, pad_token=pad).save_pretrained(
        str(folder)
    )
    return len(vocabulary)


def adapter(seed: int, model_dir: Path, root: Path, alias: str, scratch: Path) -> Adapter:
    """A random one, committed to the store at `root`, so that a reconciler takes it."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(LAYERS):
        for name in ("q_proj", "v_proj", "o_proj"):
            key = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(RANK, WIDTH, generator=generator)
            tensors[f"{key}.lora_B.weight"] = torch.randn(WIDTH, RANK, generator=generator) * STRENGTH
    folder = scratch / f"adapter-{seed}"
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    about = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": ["q_proj", "v_proj", "o_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(about))
    return commit(folder, in_folder(root), alias, base_model_id(model_dir))
