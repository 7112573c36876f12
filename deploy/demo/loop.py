"""The closed loop on this machine: a champion is tuned and serves, its world changes, and Homeostat brings the
quality back. Everything is real: Kafka, vLLM, QLoRA, the gateway; only the clients are simulated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.demo import page, report
from deploy.demo import stack as demo_stack
from deploy.demo.clients import Clients
from deploy.demo.data import load
from deploy.demo.observer import Observer
from deploy.demo.pacing import FAST, DemoNotes, Pacer
from deploy.demo.record import DemoRecord, Expected, FeedbackCounts
from deploy.demo.shares import RowShares, share_rows
from deploy.demo.stack import ALIAS, DemoStack
from deploy.demo.wording import were
from deploy.demo.world.world import Shift
from deploy.operator.rows import LabelledRow
from monitor.metrics import spoken
from retrain.adapters import Adapter
from serving.rollout import operations
from streams.objects.opening import Storage
from streams.scoring.settings import EXACT

DASH = "\N{EN DASH}"
SETTLE_S = 120.0  # for the last events to be consumed


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """The user's choices."""

    data: Path | None = None  # a folder with before.jsonl and after.jsonl; None: the project's own world
    shift: Shift = "new intents"  # of the own world
    model: Path | None = None
    expect: Expected = "retrain"
    report: Path = Path("var/demo")
    feedback_share: float = 0.5
    seed: int = 0
    keep: bool = False  # leave the stack running afterwards
    size: str = "full"  # of the own world
    tool_parser: str = ""  # of the model, for rows with tools
    metric: Any = EXACT  # of the answers, as `scoring.metrics` has it


@dataclass(frozen=True, slots=True)
class DemoData:
    """The rows of both worlds, and how they are shared out."""

    before: list[LabelledRow]
    after: list[LabelledRow]
    shares: RowShares

    @classmethod
    def of(cls, options: DemoOptions) -> DemoData:
        """Load the rows and shuffle those of the known world. Raise ValueError where they are too few or broken."""
        before, after = load(options.data, options.seed, options.shift, options.size)
        shares = share_rows(len(before), len(after), options.feedback_share)
        random.Random(options.seed).shuffle(before)
        return cls(before, after, shares)


def run(options: DemoOptions, console: Console) -> bool:
    """Run the demo and write its report. Return whether the expected outcome happened. Raise for bad input before
    anything is started; stop everything that was started in any case."""
    data = DemoData.of(options)
    stack = demo_stack.prepare(
        options.report / "stack",
        options.model,
        data.shares,
        data.before + data.after,
        options.tool_parser,
        options.metric,
    )
    console.rule("[bold]Homeostat demo: the closed loop on this machine")
    _introduce(console, options, stack, data)

    def begin() -> str:
        adapter = _tune(console, stack, data.before[: data.shares.champion])
        demo_stack.up(stack, console)
        operations.promote(stack.kafka, ALIAS, adapter.version, adapter.digest, by="demo")
        return adapter.version

    try:
        done = play(options, data, stack, begin, console)
    finally:
        if not options.keep:
            demo_stack.down(stack, console)
    return _show(console, options, done)


def play(
    options: DemoOptions, data: DemoData, stack: DemoStack, begin: Callable[[], str], console: Console
) -> report.DemoReport:
    """Send both worlds to a stack, follow what its loop does, and write the report; return that. `begin` starts the
    stack and names the version that it serves. What goes wrong is in the report."""
    notes = DemoNotes()
    notes.mark("started")
    observer: Observer | None = None
    clients: Clients | None = None
    try:
        version = begin()
        observer = Observer(stack.kafka)
        observer.start()
        stack.wait_served(version)
        notes.mark("ready")
        clients = stack.clients(options.feedback_share, options.seed)
        asyncio.run(_serve(console, stack, options, data, clients, notes, observer))
        with console.status("Waiting for the last events to be consumed"):
            notes.events = stack.settled(sum(not outcome.failed for outcome in notes.outcomes), SETTLE_S)
    except Exception as error:
        notes.problem = f"{type(error).__name__}: {error}"
        console.print(f"[bold red]The demo had to stop:[/] {error}")
    finally:
        notes.mark("finished")
        done = _report(options, stack, data.shares, notes, observer, clients)
    return done


def _introduce(console: Console, options: DemoOptions, stack: DemoStack, data: DemoData) -> None:
    labels = {row.label for row in data.before}
    new = {row.label for row in data.after} - labels
    source = options.data or "own world, support tickets"
    console.print(f"  model   {stack.model}" + (f" (its terms of use: {stack.terms})" if stack.terms else ""))
    console.print(f"  data    {source}: {len(data.before)} rows before, {len(data.after)} after")
    console.print(f"          {len(labels)} labels before, {len(new)} new ones after")
    console.print(f"  loss    {_loss(stack)}")
    console.print(f"  plan    {data.shares.champion} rows train the first champion, {data.shares.healthy} are served;")
    console.print(f"          {options.feedback_share:.0%} of the requests get their true label as feedback")
    console.print(f"  logs    {stack.var / 'log'}")


def _tune(console: Console, stack: DemoStack, rows: list[LabelledRow]) -> Adapter:
    from deploy.show.meter import meter
    from retrain.first_adapter import first_adapter

    console.print(f"\n[bold]1. A first champion[/] is tuned on {len(rows)} rows (QLoRA on a 4-bit base)")
    console.print("   and vLLM starts meanwhile")
    demo_stack.begin(stack)
    with meter(console, "training") as progress:
        return first_adapter(
            [row.example() for row in rows],
            alias=ALIAS,
            model_dir=stack.model,
            stored=Storage(stack.config.storage.absolute(), stack.var.resolve()),
            settings=stack.config.retrain,
            progress=progress,
        )


async def _serve(
    console: Console,
    stack: DemoStack,
    options: DemoOptions,
    data: DemoData,
    clients: Clients,
    notes: DemoNotes,
    observer: Observer,
) -> None:
    """Send both worlds, one after the other, through the public API."""
    shares = data.shares
    async with clients:
        console.print(f"\n[bold]2. Healthy traffic[/]: {shares.healthy} requests of the world the champion knows")
        await clients.send(data.before[shares.champion :], FAST, notes.outcomes.append, phase="before")
        await clients.drain()
        _show_accuracy(console, notes, "before", stack.metric)
        console.print(f"\n[bold]3. The world changes[/]: {len(data.after)} requests of the new one, in random order")
        notes.mark("onset")
        rows = list(data.after)
        random.Random(f"after {options.seed}").shuffle(rows)
        pacer = Pacer(clients, observer, shares, notes, console, options.expect, stack.ended)
        pacing = asyncio.create_task(pacer.run())
        await clients.send(pacer.rows(rows), FAST, notes.outcomes.append, phase="after")
        pacing.cancel()
        [ended] = await asyncio.gather(pacing, return_exceptions=True)
        if isinstance(ended, RuntimeError):
            raise ended
        await clients.drain()


def _loss(stack: DemoStack) -> str:
    if stack.metric == EXACT:
        return "0 where an answer is its label, JSON and calls of tools in one form; else 1 (exact_match)"
    return f"1 less an answer's {spoken(stack.metric)}"


def _show_accuracy(console: Console, notes: DemoNotes, phase: str, metric: str) -> None:
    known = [1.0 - o.loss for o in notes.outcomes if o.phase == phase and o.loss is not None]
    if known:
        console.print(f"   {were(metric, sum(known) / len(known))} (of {len(known)} answers)")


def _report(
    options: DemoOptions,
    stack: DemoStack,
    shares: RowShares,
    notes: DemoNotes,
    observer: Observer | None,
    clients: Clients | None,
) -> report.DemoReport:
    if observer:
        observer.close()
    seen = observer.seen if observer else None
    given = clients.feedback if clients else FeedbackCounts()
    record = DemoRecord(
        model=stack.model.name,
        data=str(options.data) if options.data else f"own world ({options.shift})",
        expected=options.expect,
        metric=stack.metric,
        outcomes=notes.outcomes,
        ledger=seen.ledger if seen else [],
        windows=seen.windows if seen else [],
        alarms=seen.alarms if seen else [],
        requests=seen.requests if seen else [],
        results=seen.results if seen else [],
        routes=seen.routes if seen else [],
        marks=notes.marks,
        events=notes.events,
        feedback=FeedbackCounts(sent=given.sent, accepted=given.accepted, failed=given.failed),
        feedback_share=options.feedback_share,
        champion_rows=shares.champion,
        links={"MLflow: every training with its parameters, rows and adapter": str(stack.var / "mlflow" / "mlflow.db")},
        machine=stack.machine(),
        problem=notes.problem,
    )
    return page.write(record, options.report)


def _show(console: Console, options: DemoOptions, done: report.DemoReport) -> bool:
    good = report.succeeded(done, options.expect)
    before, drifted, after = (
        DASH if share is None else f"{share:.1%}"
        for share in (done.accuracy.before, done.accuracy.drifted, done.accuracy.after)
    )
    requests = done.requests
    console.rule()
    console.print(f"  outcome   [bold {'green' if good else 'red'}]{done.outcome}[/] (expected: {options.expect})")
    console.print(f"  accuracy  before {before}   drifted {drifted}   after {after}")
    console.print(f"  requests  {requests.sent} sent, {requests.failed} failed, {requests.misattributed} misattributed")
    for words in done.shortfalls:
        console.print(f"  [bold red]not so[/]    {words}")
    console.print(f"  report    {options.report / 'report.html'}")
    console.print(f"  replay    homeostat replay {options.report / 'ledger.jsonl'}")
    return good
