"""An alarm explained: what moved, in which slice, with which examples.

`examples.explain` is the way in; `alarm.alarm` makes the alarm of it. `slices` finds the tag's value in which it
happens, `earlier` has what came before, for comparison. It never decides anything.

It imports `describe`, `detectors` and `reference`. `signals` and `watch` import it.
"""
