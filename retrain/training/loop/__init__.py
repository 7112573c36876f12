"""The own training loop: the plan, the estimate before it, step after step, validation and checkpoints.

`retrain/training/train.py` goes through it from top to bottom: `plan` (rows, batches, limits), `estimate` (memory and
time, from `outline`, the model without weights), `learner` (a step, and half the rows at once where memory runs out),
`course` (losses, the best adapter, the early end), `checkpoint`, `distributed` (several devices), `memory`.
"""
