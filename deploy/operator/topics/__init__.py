"""Topics and access on brokers of others: what there should be, as a plan, as commands, or for Strimzi.

`access` makes the access list of each role from the table of what roles read and write; `strimzi` prints topics and
users as its resources; `shaping` asks the brokers what differs, and changes it. Only `deploy.commands` imports it.
"""
