"""Judges each alias in the log's order: past `monitor.judge` first, then effects, then memory.

The way in is `agent.JudgeAgent`; `step.step` is pure. Ledger before effect, memory confirmed before offsets are
acknowledged. Never imports `ingest`.
"""
