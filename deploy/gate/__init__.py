"""The verdict on two files for people, of `homeostat gate`.

`table` is for a terminal, `page` for a browser with the `picture` in it; `wording` says it without statistics.

It imports `show` and `retrain.harness`; only `deploy.commands` imports it.
"""
