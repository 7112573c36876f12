"""The Faust shell around `ingest` and `judge`: consumer, batches, timers, watermarks, lag.

`app.run` is the way in. `agents` take batches of chunks and acknowledge them once all that follows is confirmed;
`consumer` hands over a chunk, the records of a fetch, for a message. Nothing outside touches Faust, and only `consumer`
overrides Faust's insides.

It imports every other wing but `journal`; only `deploy.roles` imports it.
"""
