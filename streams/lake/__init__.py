"""The store: replies and labels as Parquet, descriptors as profiles.

Writers are `writer.LakeWriter` and `profiles.Profiler`; `history` reads them again in the log's order. Imports no other
wing."""
