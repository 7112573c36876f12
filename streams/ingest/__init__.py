"""Decode, drop duplicates, describe, store, score: what a worker does with each batch of replies and labels.

The way in is `agent.Ingest`. Never imports `judge`, and `judge` never imports it: they meet in topics only.
"""
