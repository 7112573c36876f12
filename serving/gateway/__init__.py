"""What clients talk to: HTTP server, engine connections, capture, feedback, keys, and the operators' port."""
