"""From an alarm to a proven candidate: dataset, QLoRA, evaluation, gate.

`trainer.Trainer` is the process: it claims a request (`claims`, `requests`) and starts `job`, another process, which
builds the dataset (`data`), trains (`training`), compares (`evaluation`) and leaves its outcome in `job_files`.
`handover` lets another machine go on with it. `first_adapter` trains without a champion. `adapters` and `base_model`
know the files by their content.

From below to above: `data`, `training`, `evaluation`, the job, the trainer. It imports `streams` and `monitor`, never
`serving`; only `deploy` imports it.
"""
