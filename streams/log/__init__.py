"""The log as a plain object: settings, clients, reading, appending, following, topics' ids.

`read` returns what lies in a topic, `following.Following` follows one for as long as a process lives, `append` and
`outbox` write and confirm, `dead_letters` keeps what could not be read. Rooms speak to Kafka through here; exceptions
are the shipper's producer, Faust in `worker`, and `deploy`, which creates topics.

It imports no other wing; every wing but `lake` may import it, and so may the other rooms that may import `streams`.
"""
