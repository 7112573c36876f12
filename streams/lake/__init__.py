"""The store: replies and labels as Delta Lake tables, descriptors as profiles.

`lake.Lake` is the way in for all who read: rows by their ids, rows of an alias since a time, a partition's rows in the
log's order. Writers are `writer.LakeWriter` and `profiles.Profiler`; `delta` makes and opens the tables, `table` knows
the columns, `history` reads both topics in the order of time, `compaction` makes small files into few, `erasure` takes
a person's rows out. Nothing else opens a file of the lake.

It imports `objects` and no other wing. `reports`, `ingest` and `judge` import it, and so do `retrain` and `deploy`.
"""
