"""A reply is on disk before the client has it, and is shipped to Kafka by a process of its own.

The gateway's way in is `writer.Journal`, the shipper's `shipper.Shipper`. Between them lie `segments` of `frames` and
one `cursor`. `reader` takes records out, `delivery` sends them over `producer`, and again where they were not
confirmed; `status` and `metrics` show how far the shipper is.

Of the wings it imports `log`; only `deploy.roles` imports it, and the worker's wings never do.
"""
