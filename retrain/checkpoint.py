"""Where a training stood: adapter weights and optimiser moments as safetensors, never pickle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Checkpoint:
    """One folder, replaced whole; made for `fingerprint` and refused for any other."""

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint

    def save(self, model: Any, optimizer: torch.optim.Optimizer, losses: list[float]) -> None:
        """Written beside and renamed: a kill leaves the old one or the new one."""
        fresh = self._folder.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        tensors = {f"weight.{i}": p.detach().contiguous() for i, p in enumerate(_trainable(model))}
        for i, p in enumerate(_trainable(model)):
            tensors |= {f"{name}.{i}": torch.as_tensor(optimizer.state[p][name]).contiguous() for name in MOMENTS}
        save_file(tensors, fresh / "state.safetensors")
        (fresh / "state.json").write_text(json.dumps({"fingerprint": self._fingerprint, "losses": losses}))
        shutil.rmtree(self._folder, ignore_errors=True)
        fresh.rename(self._folder)

    def restore(self, model: Any, optimizer: torch.optim.Optimizer, decay: Any) -> list[float]:
        """The losses of the steps already done; [] when there is nothing to go on from."""
        try:
            state = json.loads((self._folder / "state.json").read_text())
            tensors = load_file(self._folder / "state.safetensors")
        except (OSError, ValueError):
            return []
        if state["fingerprint"] != self._fingerprint:
            return []
        with torch.no_grad():
            for i, p in enumerate(_trainable(model)):
                p.copy_(tensors[f"weight.{i}"])
                optimizer.state[p] = {name: tensors[f"{name}.{i}"].to(_place(name, p)) for name in MOMENTS}
        for _ in state["losses"]:
            decay.step()
        return list(state["losses"])


def _trainable(model: Any) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def _place(name: str, parameter: torch.nn.Parameter) -> torch.device:
    return torch.device("cpu") if name == "step" else parameter.device
