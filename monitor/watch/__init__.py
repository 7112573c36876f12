"""One version of one alias: its reference, its signals, its open alarms.

`version.VersionState` is the state and `version.SIGNALS` the table of signals; `record` keeps the state as flat JSON.
Rows come in through `replies` and `labels`, which pass them on to the signals (`open_alarms.taken`); `bursts` and
`event_times` are taken off before, `strays` keeps labels of other metrics out, `adoption` makes a baseline of later
labels and of ratings, `untested` names what cannot be tested, and why.

It imports `signals` and all that they import. `judge` and `missing_labels` import it, and those who show its state.
"""
