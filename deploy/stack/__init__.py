"""The stack on this machine: processes, ports, Kafka, topics and engines, started and stopped."""
