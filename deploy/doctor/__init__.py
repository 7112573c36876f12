"""`homeostat doctor`: checks of this machine, brokers, topics and engines. They change nothing.

`machine.examine` makes the findings; `services` looks at what runs, `findings` draws the table. Only `deploy.commands`
imports it.
"""
