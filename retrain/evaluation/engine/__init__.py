"""An evaluation's use of an engine that serves clients too: one adapter at a time, under a name of its own.

`replay` makes a row's question as it was served, `slot` holds the one adapter, `lease` lets one evaluation at a time
have the slot. Only `retrain.evaluation` and the job's steps import it.
"""
