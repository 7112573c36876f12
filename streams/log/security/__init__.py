"""How a client shows the brokers who it is, and how it knows them.

`settings` is the table [kafka.security] and the way in; `files` reads a name and a password from files, `tls`
certificates, each again once the file changes; `tokens` runs a command that prints a token; `expiry` finds certificates
that end soon. Both clients, kafka-python and aiokafka, take what these make. Of `log` it imports nothing, so that all
of it may import this.
"""
