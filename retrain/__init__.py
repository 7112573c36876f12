"""From an alarm to a proven candidate: dataset, QLoRA, evaluation, gate.

`trainer.Trainer` is the process: it claims a request (`claims`, `requests`) and lets a runner (`runners`) start `job`,
another process, whose steps (`job_steps`) build the dataset (`data`), train (`training`), compare (`evaluation`) and
judge; `job_files` has the job's description and outcome, and `handover` lets another machine go on with it. `choice`
compares bases and recipes. `first_adapter` trains without a champion. `adapters` and `base_model` know the files by
their content.

From below to above: `data`, `training`, `evaluation`, the job and its runners, the trainer. It imports `streams` and
`monitor`, never `serving`; only `deploy` imports it.
"""
