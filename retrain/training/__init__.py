"""QLoRA from a recipe and a dataset to an adapter: model, batches, loss, checkpoints, MLflow.

`python -m retrain.training` is the process (`backends`), `train.train` our own way in. `recipe` reads and checks the
knobs (`retrain/training/recipes/qlora.toml` has each with its comment), `prompting` and `encoding` make tokens,
`objections` says beforehand why a training cannot be.

It imports `data`; heavy imports happen inside functions. `evaluation`, the job and `first_adapter` import it.
"""
