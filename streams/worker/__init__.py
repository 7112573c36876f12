"""The Faust shell around `ingest` and `judge`: consumer, batches, timers, watermarks, lag.

The way in is `app`. Nothing outside touches Faust, and only `consumer` overrides Faust's insides.
"""
