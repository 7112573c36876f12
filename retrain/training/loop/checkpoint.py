"""The checkpoint of a training: the adapter's weights, the optimiser's moments and the course so far in one safetensors
file, never pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from retrain.training.loop.course import Course
from streams.files import force

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW


class Checkpoint:
    """One file, replaced as a whole: a kill leaves the old one or the new one. It belongs to one `fingerprint`, and is
    no checkpoint for any other."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path = path
        self._fingerprint = fingerprint

    def save(self, model: Any, optimizer: torch.optim.Optimizer, course: Course) -> None:
        """Write the checkpoint; return once it is on disk. Weights that no row has reached (a vision tower's) have no
        moments yet."""
        tensors = {f"best/{name}": weight.contiguous() for name, weight in course.best.items()}
        for name, weight in trainable(model).items():
            tensors[f"weight/{name}"] = weight.detach().contiguous()
            for moment, value in optimizer.state.get(weight, {}).items():
                tensors[f"{moment}/{name}"] = torch.as_tensor(value).contiguous()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        about = {"losses": course.losses, "validation": course.validation, "rows_at_once": course.rows_at_once}
        save_file(tensors, part, {"fingerprint": self._fingerprint, "course": json.dumps(about)})
        force(part)
        part.replace(self._path)

    def restore(self, model: Any, optimizer: torch.optim.Optimizer) -> Course:
        """Put the checkpoint's weights and moments in place and return the course that it covers; one without a step
        where there is none. A file that is broken, or that holds a number that is not finite, is no checkpoint."""
        weights = trainable(model)
        try:
            course, tensors = self._read(weights)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError):
            return Course()
        if not course.losses:
            return Course()
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(tensors[f"weight/{name}"])
                moments = {moment: tensors[f"{moment}/{name}"] for moment in MOMENTS if f"{moment}/{name}" in tensors}
                if moments:
                    optimizer.state[weight] = {
                        moment: value.to("cpu" if moment == "step" else weight.device)
                        for moment, value in moments.items()
                    }
        course.best = {name: tensors[f"best/{name}"] for name in weights if f"best/{name}" in tensors}
        return course

    def _read(self, weights: Mapping[str, torch.Tensor]) -> tuple[Course, dict[str, torch.Tensor]]:
        with safe_open(str(self._path), framework="pt") as file:
            about = file.metadata()
            if about["fingerprint"] != self._fingerprint:
                return Course(), {}
            known = set(file.keys())
            moments = ([f"{moment}/{name}" for moment in MOMENTS] for name in weights)
            names = [name for each in moments if not known.isdisjoint(each) for name in each]
            course = _course(json.loads(about["course"]))
            sets = ("weight", "best") if course.validation else ("weight",)
            names += [f"{each}/{name}" for each in sets for name in weights]
            tensors = {name: file.get_tensor(name) for name in names}
        shaped = all(
            tensors[f"{each}/{name}"].shape == weight.shape for each in sets for name, weight in weights.items()
        )
        if not shaped or not_finite(tensors):
            raise ValueError(f"{self._path}: holds other shapes, or numbers that are not finite")
        return course, tensors


def _course(about: Mapping[str, Any]) -> Course:
    """Read a course. Raises ValueError, KeyError or TypeError where it is none."""
    losses = [float(loss) for loss in about["losses"]]
    validation = [(int(step), float(loss)) for step, loss in about["validation"]]
    if not all(map(math.isfinite, [*losses, *(loss for _, loss in validation)])):
        raise ValueError("a loss is not finite")
    return Course(losses, validation, rows_at_once=int(about["rows_at_once"]))


def trainable(model: Any) -> dict[str, torch.nn.Parameter]:
    """Return the weights to learn, by name."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def not_finite(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    """Return the names of the tensors that hold a NaN or an infinite number."""
    return [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
