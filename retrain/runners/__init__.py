"""Whatever runs a retraining's job: `interface.Runner` is the form, `local` a process of this machine.

It imports the job's description alone; the trainer and `deploy` import it.
"""
