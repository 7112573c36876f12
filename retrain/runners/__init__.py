"""Whatever runs a retraining's job: `interface.Runner` is the form, `local` a process of this machine, `kubernetes` a
Job of a cluster.

A job is described once (`job_files.JobSpec`); a runner starts it, looks at it and stops it by its id. `manifest` makes
the Job and reads one, without a cluster; `settings` says where its template stands.

It imports the job's description alone; the trainer and `deploy` import it.
"""
