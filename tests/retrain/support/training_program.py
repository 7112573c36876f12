"""Another program that trains: `python -P training_program.py [--MISTAKE] MANIFEST`. It knows the manifest and PEFT,
and nothing of ours."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch


def main() -> None:
    mistake, manifest = sys.argv[1:-1], json.loads(Path(sys.argv[-1]).read_text())
    Path("environment.json").write_text(json.dumps(dict(os.environ)))
    if "--fails" in mistake:
        sys.exit("no memory left on device 0")
    if "--hangs" in mistake:
        Path("pid").write_text(str(os.getpid()))
        time.sleep(600)
    if "--delivers-nothing" in mistake:
        return
    model = trained(manifest)
    model.save_pretrained(manifest["adapter"])
    Path(manifest["metrics"]).write_text('{"grad_norm": 0.25}')
    if "--pickles" in mistake:
        weights = Path(manifest["adapter"]) / "adapter_model.safetensors"
        weights.rename(weights.with_name("adapter_model.bin"))


def trained(manifest: dict[str, Any]) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    knobs = manifest["recipe"]
    lora = LoraConfig(r=knobs["lora"]["r"], lora_alpha=knobs["lora"]["alpha"], target_modules="all-linear")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(manifest["model"]), lora)
    optimizer = torch.optim.AdamW(model.parameters(), lr=knobs["training"]["learning_rate"])
    rows = [json.loads(line) for line in Path(manifest["tokens"]).read_text().splitlines()]
    steps = knobs["training"]["max_steps"]
    for step in range(steps):
        loss = model(**{name: torch.tensor([ids]) for name, ids in rows[step % len(rows)].items()}).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        with Path(manifest["steps"]).open("a") as file:
            file.write(json.dumps({"step": step + 1, "steps": steps, "loss": float(loss.detach())}) + "\n")
    return model


if __name__ == "__main__":
    main()
