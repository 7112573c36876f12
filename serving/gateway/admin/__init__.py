"""The operators' port: health, readiness, metrics and what operators do to routes."""
