"""Where an alarm's report stands in the store: three objects, named after the alarm's id alone."""

from __future__ import annotations

REPORTS = "reports"
EXAMPLES, SNAPSHOT, PAGE = ".examples.jsonl", ".json", ".html"  # in the order in which they are put
MODE = "mode"  # in an alarm's evidence: `policy.mode`, where that is observe


def keys(alarm_id: str) -> list[str]:
    """Return the keys of an alarm's report, its page last.

    >>> keys("0123")
    ['reports/0123.examples.jsonl', 'reports/0123.json', 'reports/0123.html']
    """
    return [f"{REPORTS}/{alarm_id}{suffix}" for suffix in (EXAMPLES, SNAPSHOT, PAGE)]


def page_key(alarm_id: str) -> str:
    """Return the key of the page: where it is, all of the report is."""
    return keys(alarm_id)[-1]
