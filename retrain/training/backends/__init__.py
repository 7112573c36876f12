"""Three ways to one adapter, behind one contract: `python -m retrain.training FOLDER`.

`contract` is the order and the result; `own` calls `retrain.training.train`, `sft` TRL's trainer, `program` any
other program. `delivered` checks what came out. `retrain/training/__main__.py` is the process, which puts the
adapter's proof of effect next to it.

It imports the rest of `retrain.training`; only its process and the job import it.
"""
