"""A reply is on disk before the client has it, and is shipped to Kafka by a process of its own.

The gateway's way in is `writer.Journal`; the shipper's is `shipper.Shipper`. Between them lie `segments` of `frames`
and one `cursor`. `reader` takes records out, `delivery` sends them over `producer`, `status` and `metrics` show how far
the shipper is. Imports `log` only; the worker's wings never import it."""
