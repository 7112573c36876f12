"""`homeostat doctor`: checks of this machine, brokers, topics, engines and metrics. They change nothing.

`machine.examine` is the way in and returns the findings; `services` looks at what runs, `scoring` at the
aliases' metrics, `findings` draws the table. `standing.examine` looks at what one role needs, from where it
stands: `engines` of others, `side_cars`, the `store`, `certificates`, its `fitness` for the brokers with `names`, its
`exposure`. Each finding that is not well says what to do. Of deploy it imports `stack`; only `deploy.commands` imports
it.
"""
