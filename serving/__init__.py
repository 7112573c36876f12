"""Requests and versions: the gateway, capture, routing, hot swap and rollout."""
