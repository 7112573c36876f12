"""Decode, drop duplicates, describe, store, score: what a worker does with each batch of replies and labels.

`agent.IngestAgent` is the way in, and `prepare` its pure part: from bytes to rows of the lake, scores for the judge,
and dead letters. `duplicates` knows the recent ids, `label_order` keeps labels behind their replies.

It imports `lake` and `log`, never `judge`, and `judge` never imports it: they meet in the topic `monitor.scores` only.
Only `worker` and the backtest of `deploy` import it.
"""
