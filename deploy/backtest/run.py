"""`homeostat backtest`: reads the history once, past all policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from deploy.backtest import recorded as ledgers
from deploy.backtest.observed import Facts, Observed
from deploy.backtest.policies import Policy
from deploy.backtest.replay import HistoryScorer, advance, begin
from deploy.backtest.report import BacktestReport, HistorySource, compare
from deploy.show.times import clock
from monitor.describe.descriptors import Describer
from monitor.describe.patterns import Forbidden
from streams.lake.delta import earlier
from streams.lake.history import TOPICS, Extent, Stretch, read, survey
from streams.lake.lake import Lake

OnProgress = Callable[[int], None]  # so many more events are done


@dataclass(frozen=True, slots=True)
class BacktestOptions:
    """The policies to compare, and the history to compare them on."""

    lake: Lake
    policies: Sequence[Policy]
    stretch: Stretch
    ledger: Path | None = None
    retraining_minutes: float | None = None


def choose(options: BacktestOptions) -> tuple[BacktestOptions, Extent]:
    """Return the options with their alias, and the extent of its history. Raise LookupError where there is none."""
    url = options.lake.url
    if not any(options.lake.table(topic) for topic in TOPICS):
        hint = earlier(url) or "expected the folder or the address that the worker writes to, with replies/_delta_log"
        raise LookupError(f"{url}: no lake; {hint}")
    found = survey(options.lake, options.stretch)
    if not found:
        raise LookupError(_nothing(options))
    alias = options.stretch.alias or next(iter(found))
    if len(found) > 1:
        listed = ", ".join(f"{name} ({extent.replies:,} replies)" for name, extent in sorted(found.items()))
        raise LookupError(f"{url} holds several aliases: {listed}; choose one with --alias")
    if not found[alias].replies:
        raise LookupError(f"{url} holds feedback on {alias}, but none of its replies in this time")
    return replace(options, stretch=replace(options.stretch, alias=alias)), found[alias]


def run(
    options: BacktestOptions, extent: Extent, on_progress: OnProgress = lambda _: None
) -> tuple[BacktestReport, Facts]:
    """Compare; `options` and `extent` are as `choose` returned them."""
    alias = options.stretch.alias
    assert alias is not None
    since_ms, until_ms = extent.first_ms, options.stretch.until_ms
    recorded = ledgers.load(options.ledger, alias, since_ms, until_ms) if options.ledger else None
    ended, answers = (recorded.ended, recorded.answers) if recorded else ([], [])
    replays = [begin(policy, alias, ended, answers) for policy in options.policies]
    scorers, observed = {_patterns(each): HistoryScorer(describer(each)) for each in options.policies}, Observed()
    for slice in read(options.lake, options.stretch):
        observed.add(slice)
        scored = {patterns: scorer.score(slice) for patterns, scorer in scorers.items()}
        for chunks in zip(*scored.values(), strict=True):
            chunk = dict(zip(scored, chunks, strict=True))
            replays = [advance(replay, chunk[_patterns(replay.policy)]) for replay in replays]
            on_progress(chunks[0].rows)
    ledger = str(options.ledger) if options.ledger else None
    source = HistorySource(alias=alias, lake=options.lake.url, ledger=ledger, extent=extent)
    return compare(source, replays, observed, recorded, options.retraining_minutes)


def describer(policy: Policy) -> Describer:
    """Return the describer that a worker with this policy would use."""
    return Describer(Forbidden(policy.sections.monitor.policy_patterns))


def _patterns(policy: Policy) -> tuple[tuple[str, str], ...]:
    return tuple(policy.sections.monitor.policy_patterns.items())


def parse_time(text: str) -> int:
    """Return a date or a time, in UTC where it names no zone, as milliseconds since the epoch. Raise ValueError.

    >>> parse_time("1970-01-02"), parse_time("1970-01-01T01:00:00+01:00")
    (86400000, 0)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; expected one like 2026-05-01 or 2026-05-01T14:30:00+02:00") from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000)


def _nothing(options: BacktestOptions) -> str:
    everything, url = survey(options.lake, Stretch()), options.lake.url
    if not everything:
        return f"{url}: the lake is empty; expected replies that a worker has written"
    alias = options.stretch.alias
    if alias is not None and alias not in everything:
        return f"{url} holds nothing of alias {alias!r}; it holds {', '.join(sorted(everything))}"
    first = min(extent.first_ms for extent in everything.values())
    last = max(extent.last_ms for extent in everything.values())
    return f"{url} holds nothing between these times; it holds {clock(first)} to {clock(last)}"
