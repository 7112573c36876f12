"""QLoRA from a recipe and a dataset to an adapter: model, batches, loss, checkpoints, MLflow.

The way in is `train.train`; heavy imports happen inside functions.
"""
