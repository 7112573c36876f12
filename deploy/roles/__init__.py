"""The processes, a file each; `names` lists them, with what each is for.

`run` is the way in: it starts one by its name, for `homeostat run ROLE` alone. Here a process is wired: settings,
clients and the rooms' parts are put together, and nothing is decided. A role's imports are inside its functions, so
that each starts with its own extra alone. `health` is a role's port for probes, `process` its folder and its name.
It imports `operator`, `config` and `stack`; only `commands` imports it.
"""
