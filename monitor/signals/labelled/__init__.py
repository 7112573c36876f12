"""What labels prove, by who chose them: parts of the signal `quality`, and the signal of complaints.

`awaited` takes replies whose labels are awaited past the tests of `monitor.selection.ordered`; `proof` puts proven harm
into an alarm; `complaints` is a signal of its own.
"""
