"""Decode, drop duplicates, describe, store, score: what a worker does with each batch of replies and labels.

The way in is `agent.IngestAgent`. Never imports `judge`, and `judge` never imports it: they meet in topics only.
"""
