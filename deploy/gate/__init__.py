"""The verdict on two files for people: `table` on a terminal, `page` for a browser with the `picture` in it.

Only `deploy.commands` imports it.
"""
