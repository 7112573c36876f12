"""`homeostat backtest` on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.backtest import page, recorded, table
from deploy.backtest import run as running
from deploy.backtest.policies import Policy
from deploy.backtest.report import BacktestReport, verdict
from deploy.backtest.run import BacktestOptions, OnProgress, parse_time
from streams.lake.history import Stretch
from streams.lake.lake import Lake


def options(
    lake: Lake,
    policies: Sequence[Policy],
    alias: str | None,
    since: str | None,
    until: str | None,
    ledger: Path | None,
    retraining_minutes: float | None,
) -> BacktestOptions:
    """Return the options as the command line names them. Raise ValueError where a time cannot be read."""
    stretch = Stretch(alias, parse_time(since) if since else None, parse_time(until) if until else None)
    return BacktestOptions(lake, policies, stretch, ledger or recorded.find(Path(lake.url)), retraining_minutes)


def run(options: BacktestOptions, out: Path, console: Console) -> Path:
    """Compare, write the page, show the table. Return the page's path."""
    chosen, extent = running.choose(options)
    with progress(extent.events) as on_progress:
        report, facts = running.run(chosen, extent, on_progress)
    written = page.write(report, facts, out)
    show(report, console)
    return written


def show(report: BacktestReport, console: Console) -> None:
    """Show the comparison, the actions of each policy, and what to keep in mind."""
    for line in table.header(report):
        console.print(escape(line), highlight=False)
    console.print()
    console.print(table.measures(report))
    for result in report.results:
        console.print(f"\n[bold]{escape(result.name)}[/bold] {escape('; '.join(result.changes))}", highlight=False)
        for line in table.actions(result):
            console.print(f"  {escape(line)}", highlight=False)
    console.print(f"\n[bold]{escape(verdict(report))}[/bold]", highlight=False)
    for note in report.notes:
        console.print(f"[dim]{escape(note)}[/dim]", highlight=False)


@contextmanager
def progress(events: int) -> Iterator[OnProgress]:
    """Show a bar on the terminal; nothing where standard error is no terminal."""
    bar = Progress(
        TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    if not bar.console.is_terminal:
        yield lambda _: None
        return
    with bar:
        task = bar.add_task("", total=events)
        yield lambda done: bar.advance(task, done)
