"""The closed loop on this machine: clients, a world that changes, the stack, and the page about it."""
