"""Whether the brokers' topics are fit for a role, and what a role may do there.

`needs` is the table of what each role reads and writes: access lists are made from it too; `found` asks the brokers;
`problems` compares, and names what is wrong; `role` does all three when a role starts. Nothing is changed here:
`deploy` creates and alters topics.
"""
