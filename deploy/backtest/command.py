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
from deploy.backtest.policies import Candidate
from deploy.backtest.report import Report, verdict
from deploy.backtest.run import Advance, Options, moment
from streams.lake.history import Stretch


def options(
    lake: Path,
    candidates: Sequence[Candidate],
    alias: str | None,
    since: str | None,
    until: str | None,
    ledger: Path | None,
    retraining_minutes: float | None,
) -> Options:
    """As the command line names them. ValueError where a time is none."""
    stretch = Stretch(alias, moment(since) if since else None, moment(until) if until else None)
    return Options(lake, candidates, stretch, ledger or recorded.find(lake), retraining_minutes)


def run(options: Options, out: Path, console: Console) -> Path:
    """Compares, writes the page, shows the table; the page's path."""
    chosen, extent = running.choose(options)
    with advancing(extent.events) as advance:
        report, facts = running.run(chosen, extent, advance)
    written = page.write(report, facts, out)
    show(report, console)
    return written


def show(report: Report, console: Console) -> None:
    """The comparison, what each did, and what to keep in mind."""
    for line in table.header(report):
        console.print(escape(line), highlight=False)
    console.print()
    console.print(table.measures(report))
    for told in report.told:
        console.print(f"\n[bold]{escape(told.name)}[/bold] {escape('; '.join(told.changes))}", highlight=False)
        for line in table.doings(told):
            console.print(f"  {escape(line)}", highlight=False)
    console.print(f"\n[bold]{escape(verdict(report))}[/bold]", highlight=False)
    for note in report.notes:
        console.print(f"[dim]{escape(note)}[/dim]", highlight=False)


@contextmanager
def advancing(events: int) -> Iterator[Advance]:
    """A bar on the terminal; nothing where standard error is none."""
    bar = Progress(
        TextColumn("replaying"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )
    if not bar.console.is_terminal:
        yield lambda _: None
        return
    with bar:
        task = bar.add_task("", total=events)
        yield lambda done: bar.advance(task, done)
