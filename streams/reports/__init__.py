"""An alarm's page, rendered in a process of its own, so that no report can take the worker's memory or time.

`reporter.Reporter` is the way in: it asks the renderer for a page, and starts another where one was killed. `page` has
the examples, `evidently_report` Evidently's comparison.

It imports `lake` for the rows it shows; only `worker` imports it.
"""
