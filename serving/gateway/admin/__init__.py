"""The port that is not for clients: liveness, readiness, metrics, and the operators' acts."""
