"""One question a file: do labels prove harm, does what comes in look different, do answers cross a line?

The way in is `interface`: it says which six names a signal has, what it may know of its version (`About`) and what it
takes (`Rows`). `quality`, `estimated_quality`, `drift`, `safety`, `fairness` and `burn_rate` are the signals; the other
modules are the tests that they use. A new kind of alarm is a module here, its kind and severity in `monitor.findings`,
its row and field in `monitor.watch.version`, its field in `monitor.watch.record`, its kind in `streams.kinds`, and its
alert in `dashboards`; `tests/monitor/signals/test_signals.py` asks it what it asks every signal.

Imports `settings`, `reference`, `detectors`, `describe` and `explain`; knows nothing of the version that is watched.
Imported by `watch`, `windows` and `judge`.
"""
