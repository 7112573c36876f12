"""The stack on this machine: processes, ports, Kafka, topics and engines, started and stopped.

`lifecycle` is the way in: `lifecycle.up`, `lifecycle.down`, `lifecycle.status`. `kafka` and `engine` make the commands
of the broker and of vLLM, `processes` starts, finds and stops them, `topics` makes the topics of `streams.topics`. It
is the lowest floor of deploy: it imports no other wing, and each may import it.
"""
