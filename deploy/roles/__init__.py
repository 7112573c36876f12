"""The five processes, a file each: gateway, shipper, worker, controller, trainer.

`run` starts one by its name; only `homeostat run` calls it. What a role needs is imported inside its functions, so that
each role starts with its own extra alone.
"""
