"""What flows: events, topics, the journal and its shipper, and the worker that takes them in and judges.

`events`, `kinds` and `topics` are what is on the wire, `codec` turns bytes into events and back, `routes` says which
route is in force, `signatures` who signed for a candidate, `identity` makes names and ids. The wings stand on floors:
`log`, `lake`, `objects` < `journal`, `reports` < `ingest`, `judge` < `worker`. `objects` holds adapters and datasets,
for `serving` and `retrain`.

It imports `monitor` only. `serving`, `retrain` and `deploy` may import it.
"""
