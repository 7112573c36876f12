"""The store: replies and labels as Parquet, descriptors as profiles.

Writers are `writer.LakeWriter` and `profiles.Profiler`; `table` knows files and columns, `history` reads them again in
the log's order. The file of a block of offsets is replaced whole, so that what was taken twice is stored once.

It imports no other wing. `reports`, `ingest` and `judge` import it, and so do `retrain.data` and `deploy`.
"""
