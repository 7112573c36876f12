"""The command line from elsewhere: `homeostat` on a laptop, the same `homeostat` where Kafka and the store are.

`table` has every command: the scope that it needs and what it takes, or why it runs where it is given. `call` is what
is sent, `wire` what comes back. `client` sends a command instead of running it. `application` takes calls over HTTP,
checks them by `arguments` against click's own parameters, keeps the files of each in a `workspace` of its own, and runs
the very same command as a process (`child`), with the caller's name in its environment (`deploy.operator.actor`).
No path of the server comes from a client, and no command is written twice.
"""
