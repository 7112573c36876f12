"""Our training loop against Hugging Face's `Trainer` and TRL's `SFTTrainer`: the demo's model, the same quantised
weights and adapters, the same rows in the same batches, one thread.

Speed is tokens a second of processor time, which another process on the machine does not change; with one thread on an
idle machine that is the clock's second. Each trainer is a process of its own (`trainer_run`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.retrain.goals import figure
from tests.bench.retrain.trainer_run import TRAINERS, Settings
from tests.bench.tools.figures import Figure
from tests.bench.tools.progress import note
from tests.bench.tools.scratch import scratch

ANSWERS = {
    4: (Settings(4, 8, 12), Settings(4, 8, 5)),
    120: (Settings(120, 4, 8), Settings(120, 4, 4)),
}  # whole and quick
BOUNDS = {4: 2.3, 120: 1.19}  # what leaving out the prompts' logits can win, by the multiplications alone


def measured(quick: bool) -> list[Figure]:
    """Speed, memory, loss and estimate, for short and for long answers."""
    return [each for tokens, settings in ANSWERS.items() for each in _compared(tokens, settings[quick])]


def _compared(tokens: int, settings: Settings) -> Iterator[Figure]:
    found = {name: _ran(name, settings) for name in TRAINERS}
    own, name = found.pop("own"), f"training, answers of {tokens} tokens"
    fastest = max(found, key=lambda each: found[each]["tokens_s"])
    leanest = min(found, key=lambda each: found[each]["peak_mib"])
    nearest = min(found, key=lambda each: found[each]["validation_loss"])
    for each, of in {"own": own, **found}.items():
        yield Figure(f"{name}: tokens a second, {each}", of["tokens_s"], "tokens/s", note=f"{of['steps']} steps")
        yield Figure(f"{name}: peak memory, {each}", of["peak_mib"], "MiB")
        yield Figure(f"{name}: validation loss, {each}", of["validation_loss"], "nats")
    ratio = own["tokens_s"] / found[fastest]["tokens_s"]
    bound = f"arithmetic bound {BOUNDS[tokens]}"
    yield figure(f"{name}: tokens a second over the better peer's", ratio, "times", bound, fastest, 1.0)
    ratio = own["peak_mib"] / found[leanest]["peak_mib"]
    yield figure(f"{name}: peak memory over the better peer's", ratio, "times", "", leanest, 1.0)
    best = found[nearest]["validation_loss"]
    apart = 100 * abs(own["validation_loss"] / best - 1.0)
    yield figure(f"{name}: validation loss, % from the better peer's", apart, "%", "", nearest, 0.0)
    share = own["estimated_mib"] / own["whole_peak_mib"]
    yield figure(f"{name}: estimated peak memory over the measured one", share, "times", "goal below 1.25, too")
    times = own["estimated_s"] / own["wall_step_s"]
    yield Figure(f"{name}: estimated time of a step over the measured one", times, "times")


def _ran(trainer: str, settings: Settings) -> dict[str, Any]:
    note(f"{trainer}, answers of {settings.answer_tokens} tokens")
    with scratch("retrain-training") as folder:
        command = [sys.executable, "-m", "tests.bench.retrain.trainer_run", trainer, str(folder)]
        numbers = [str(settings.answer_tokens), str(settings.batch), str(settings.steps)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run([*command, *numbers], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{trainer}: {done.stderr[-2_000:]}")
        found: dict[str, Any] = json.loads((Path(folder) / "figures.json").read_text())
    note(f"{trainer}: {json.dumps(found)}")
    return found
