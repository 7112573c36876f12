"""What `up` and `down` show on the terminal: one line a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deploy.stack.launch import Progress, Report
from deploy.stack.lifecycle import Status

STYLES = {
    Progress.WAITING: "dim",
    Progress.STARTING: "cyan",
    Progress.READY: "green",
    Progress.RUNNING: "green",
    Progress.FAILED: "bold red",
    Progress.STOPPED: "yellow",
}


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """A report that draws live lines on a terminal, and plain lines where the output is none."""
    if not console.is_terminal:
        yield lambda name, progress, detail: _plain(console, name, progress, detail)
        return
    lines: dict[str, RenderableType] = {}
    with Live(console=console, refresh_per_second=10) as live:

        def report(name: str, progress: Progress, detail: str) -> None:
            lines[name] = line(name, progress, detail)
            live.update(Group(*lines.values()))

        yield report


def line(name: str, progress: Progress, detail: str) -> RenderableType:
    """`  engine-0   ready in 41.2 s`."""
    text = Text.assemble(f" {name:<12} ", (f"{progress.value} {detail}".rstrip(), STYLES[progress]))
    return Spinner("dots", text) if progress == Progress.STARTING else Text("  ") + text


def table(statuses: list[Status]) -> Table:
    """`homeostat status`."""
    drawn = Table("process", "state", "pid", "ports", "memory", "log", box=None, header_style="bold")
    for status in statuses:
        style = {"ready": "green", "starting": "cyan"}.get(status.state, "dim")
        drawn.add_row(
            status.name,
            Text(status.state, style),
            str(status.pid or ""),
            " ".join(map(str, status.ports)),
            f"{status.memory_bytes / 1e6:.0f} MB" if status.memory_bytes else "",
            str(status.log or ""),
        )
    return drawn


def _plain(console: Console, name: str, progress: Progress, detail: str) -> None:
    if progress != Progress.WAITING:
        console.print(f"  {name:<12} {progress.value} {detail}".rstrip(), highlight=False)
