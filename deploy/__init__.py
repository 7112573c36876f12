"""The composition root: configuration, command line, local stack and demo. Only this room wires the others."""
