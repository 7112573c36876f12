"""An alarm's page, rendered in a process of its own, so that no report can take the worker's memory or time.

`reporter.Reporter` is the way in: it asks the renderer for a page, and starts another where one was killed. `page`
has the examples, `renderer` is the loop of a renderer of its own, `evidently_report` Evidently's comparison, `keys`
says where a report stands in the store.

`erasure` finds the pages that show a person's replies, and deletes them.

It imports `lake` for the rows it shows and `objects` for the store; `worker`, `judge` and `deploy` import it.
"""
