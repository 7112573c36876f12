"""Progress of `up` and `down` on the terminal, and the table of `status`: one line a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deploy.stack.launch import ProcessState, Report
from deploy.stack.lifecycle import ProcessStatus

STYLES = {
    ProcessState.WAITING: "dim",
    ProcessState.STARTING: "cyan",
    ProcessState.READY: "green",
    ProcessState.RUNNING: "green",
    ProcessState.FAILED: "bold red",
    ProcessState.STOPPED: "yellow",
}


@contextmanager
def shown(console: Console) -> Iterator[Report]:
    """Yield a report that draws live lines on a terminal, and plain lines elsewhere."""
    if not console.is_terminal:
        yield lambda name, progress, detail: _plain(console, name, progress, detail)
        return
    lines: dict[str, RenderableType] = {}
    with Live(console=console, refresh_per_second=10) as live:

        def report(name: str, progress: ProcessState, detail: str) -> None:
            lines[name] = line(name, progress, detail)
            live.update(Group(*lines.values()))

        yield report


def line(name: str, progress: ProcessState, detail: str) -> RenderableType:
    """Return a line such as `  engine-0   ready in 41.2 s`."""
    text = Text.assemble(f" {name:<12} ", (f"{progress.value} {detail}".rstrip(), STYLES[progress]))
    return Spinner("dots", text) if progress == ProcessState.STARTING else Text("  ") + text


def table(statuses: list[ProcessStatus]) -> Table:
    """Return the table of `homeostat status`."""
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


def _plain(console: Console, name: str, progress: ProcessState, detail: str) -> None:
    if progress != ProcessState.WAITING:
        console.print(f"  {name:<12} {progress.value} {detail}".rstrip(), highlight=False)
