"""The stack on this machine: processes, ports, Kafka, topics and engines, started and stopped.

`lifecycle` is the way through: `up`, `down`, `status`. It is the bottom of deploy; every wing may import it.
"""
