"""What is kept: replies and labels as Parquet, descriptors as profiles.

Writers are `table.Lake` and `profiles.Profiles`; `history` reads them again in the log's order. Imports no other wing
but `log`.
"""
