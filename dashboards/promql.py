"""PromQL expressions that several rules and panels share."""

from __future__ import annotations

HELD = "1d"  # for so long an alarm stays open after its worker is gone without a successor


def newly(counter: str, by: str, window: str, started: str = "") -> str:
    """Return the rise of a counter within the window.

    `increase` alone misses a series that begins inside the window, and one of a process that restarted with its
    predecessor's number. `started` is the window in seconds, where a process's start is to count as well."""
    born = f"({counter} unless {counter} offset {window})"
    restarted = f"({counter} and on (job, instance) process_start_time_seconds > time() - {started})"
    parts = [born, *([restarted] if started else []), f"increase({counter}[{window}])"]
    return f"sum by ({by}) ({' or '.join(parts)})"


def alarm_open(kind: str, by: str) -> str:
    """Return 1 for each open alarm of this kind, one for each value of the labels `by`.

    A worker that hands an alias over leaves a gap of seconds, one that is gone leaves no series: the alarm stays open
    until some worker reports the alias again."""
    live = _latest(by, f'homeostat_alarm_open{{kind="{kind}"}}', "2m")
    held = _latest(by, f'homeostat_alarm_open{{kind="{kind}"}}', HELD)
    reported = _latest("alias", "homeostat_alarm_open", "2m")
    return f"({live} > 0) or ({held} > 0 unless on (alias) {reported})"


def alarm_onset(kind: str, by: str) -> str:
    """Return when the harm of each open alarm began, in seconds since 1970."""
    return _latest(by, f'homeostat_alarm_onset_seconds{{kind="{kind}"}}', HELD)


def alarm_harm(kind: str, by: str) -> str:
    """Return the share of bad replies that each alarm of this kind was raised for."""
    return _latest(by, f'homeostat_alarm_harm_ratio{{kind="{kind}"}}', HELD)


def first_seen(expression: str) -> str:
    """Return the time when the expression rose above zero, after five minutes in which it was not; at most six hours
    ago."""
    before = f"max_over_time(({expression})[5m:1m] offset 1m) > 0"
    began = f"max_over_time(timestamp((({expression}) > 0) unless ({before}))[6h:1m])"
    return f"{began} or min_over_time(timestamp(({expression}) > 0)[6h:5m]) or timestamp(({expression}) > 0)"


def burning(window: str, burn: float) -> str:
    """Return the share of 5xx where it is above `burn`. A shadow's answers reach no client."""
    every = 'homeostat_requests_total{arm!="shadow"%s}'
    failed, asked = (f"sum by (alias, version) (rate({every % m}[{window}]))" for m in (', status=~"5.."', ""))
    return f"({failed} / {asked} > {burn:g})"


def _latest(by: str, series: str, window: str) -> str:
    return f"max by ({by}) (last_over_time({series}[{window}]))"
