"""The model of these tests, and models of other kinds, as thin, with its tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path


def small(folder: Path) -> Path:
    """A Llama of two thin layers over single letters."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = ["<bos>", "<eos>", "<pad>", *(chr(code) for code in range(32, 127)), "\n"]
    inner = Tokenizer(models.WordLevel({letter: i for i, letter in enumerate(letters)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>")
    tokenizer.save_pretrained(str(folder))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(letters),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(str(folder))
    return folder


def seeing(model_dir: Path, folder: Path) -> Path:
    """A Gemma 3 as 4B and larger ones are: text comes by no layer of the vision tower."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    shutil.copytree(model_dir, folder)
    thin = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = Gemma3Config(
        text_config={**thin, "num_key_value_heads": 1, "head_dim": 8, "vocab_size": 99, "pad_token_id": 2},
        vision_config={**thin, "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=4,
        **dict(zip(("image_token_index", "boi_token_index", "eoi_token_index"), (96, 97, 98), strict=True)),
    )
    Gemma3ForConditionalGeneration(config).save_pretrained(str(folder))
    return folder


def of_experts(model_dir: Path, folder: Path) -> Path:
    """A Qwen 3 of two layers, the first with four experts, of which a token passes two."""
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    shutil.copytree(model_dir, folder)
    config = Qwen3MoeConfig(
        vocab_size=99,
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        num_experts=4,
        num_experts_per_tok=2,
        mlp_only_layers=[1],
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    Qwen3MoeForCausalLM(config).save_pretrained(str(folder))
    return folder
