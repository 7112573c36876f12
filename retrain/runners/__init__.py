"""Whatever runs a retraining's job: `interface.Runner` is the form, `local` a process of this machine.

A job is described once (`job_files.JobSpec`); a runner starts it, looks at it and stops it by its id.

It imports the job's description alone; the trainer and `deploy` import it.
"""
