"""QLoRA from a recipe and a dataset to an adapter: model, batches, loss, checkpoints, MLflow.

`python -m retrain.training` is the process (`backends`), `train.train` our own way in. `recipe` reads and checks the
knobs (`retrain/training/recipes/small.toml` has each with its comment), `targets` finds the layers that get an adapter,
`prompting` and `encoding` make tokens, `objections` says beforehand why a training cannot be, `loop` takes the steps.

It imports `data`; heavy imports happen inside functions. `evaluation`, the job and `first_adapter` import it.
"""
