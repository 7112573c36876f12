"""An alarm explained: what moved, in which slice, with which examples.

The way in is `examples.explain`; `alarm.alarm` makes an alarm of it. Imports `describe`, `detectors` and `reference`;
never decides anything. Imported by `signals` and `watch`.
"""
