"""The closed loop on this machine: a champion is tuned and serves, its world changes, and Homeostat brings the
quality back. Everything is real: Kafka, vLLM, QLoRA, the gateway; only the clients are simulated."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.demo import page, report
from deploy.demo import stack as demo_stack
from deploy.demo.clients import Population
from deploy.demo.data import Row, read
from deploy.demo.observer import Observer
from deploy.demo.pacing import FAST, Director, Story
from deploy.demo.record import Expected, FeedbackCounts, Run
from deploy.demo.shares import Plan, plan
from deploy.demo.stack import ALIAS, Bench
from deploy.demo.world import world
from retrain.first_adapter import first_adapter
from serving.rollout import operations

DASH = "\N{EN DASH}"
SETTLE_S = 120.0  # for the last events to be consumed


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked the demo for."""

    data: Path | None = None  # a folder with before.jsonl and after.jsonl; None: the project's own world
    shift: str = "new intents"  # of the own world
    model: Path | None = None
    expect: Expected = "retrain"
    report: Path = Path("var/demo")
    feedback_share: float = 0.5
    seed: int = 0
    keep: bool = False  # leave the stack running afterwards
    size: str = "full"  # of the own world


def run(options: Options, console: Console) -> bool:
    """Runs the demo, writes its report, and says whether what was expected happened. Raises for bad input before
    anything is started; stops everything it started in any case."""
    before, after = _rows(options)
    shares = plan(len(before), len(after), options.feedback_share)
    random.Random(options.seed).shuffle(before)
    story = Story()
    story.mark("started")
    bench = demo_stack.prepare(options.report / "stack", options.model, shares, before + after)
    console.rule("[bold]Homeostat demo: the closed loop on this machine")
    _introduce(console, options, bench, before, after, shares)
    observer: Observer | None = None
    population: Population | None = None
    try:
        adapter = _tune(console, bench, before[: shares.champion])
        demo_stack.up(bench, console)
        operations.promote(bench.kafka, ALIAS, adapter.version, adapter.digest, by="demo")
        observer = Observer(bench.kafka)
        observer.start()
        bench.wait_served(adapter.version)
        story.mark("ready")
        population = asyncio.run(_serve(console, bench, options, shares, before, after, story, observer))
        with console.status("Waiting for the last events to be consumed"):
            story.events = bench.settled(sum(not outcome.failed for outcome in story.outcomes), SETTLE_S)
    except Exception as error:
        story.problem = f"{type(error).__name__}: {error}"
        console.print(f"[bold red]The demo had to stop:[/] {error}")
    finally:
        story.mark("finished")
        done = _report(options, bench, shares, story, observer, population)
        if not options.keep:
            demo_stack.down(bench, console)
    return _tell(console, options, done)


def _rows(options: Options) -> tuple[list[Row], list[Row]]:
    if options.data is not None:
        return read(options.data)
    before, after = world(options.seed, options.shift, options.size)  # type: ignore[arg-type]
    return before, after


def _introduce(
    console: Console, options: Options, bench: Bench, before: list[Row], after: list[Row], shares: Plan
) -> None:
    labels = {row.label for row in before}
    source = options.data or "own world, support tickets"
    console.print(f"  model   {bench.model}" + (f" (its terms of use: {bench.terms})" if bench.terms else ""))
    console.print(f"  data    {source}: {len(before)} rows before, {len(after)} after")
    console.print(f"          {len(labels)} labels before, {len({row.label for row in after} - labels)} new ones after")
    console.print(f"  plan    {shares.champion} rows train the first champion, {shares.healthy} are served;")
    console.print(f"          {options.feedback_share:.0%} of the requests get their true label as feedback")
    console.print(f"  logs    {bench.var / 'log'}")


def _tune(console: Console, bench: Bench, rows: list[Row]):  # type: ignore[no-untyped-def]
    from deploy.show.meter import meter

    console.print(f"\n[bold]1. A first champion[/] is tuned on {len(rows)} rows (QLoRA on a 4-bit base)")
    with meter(console, "training") as progress:
        return first_adapter(
            [(row.text, row.label) for row in rows],
            alias=ALIAS,
            model_dir=bench.model,
            var=bench.var,
            settings=bench.config.retrain,
            progress=progress,
        )


async def _serve(
    console: Console,
    bench: Bench,
    options: Options,
    shares: Plan,
    before: list[Row],
    after: list[Row],
    story: Story,
    observer: Observer,
) -> Population:
    """Both worlds, one after the other, through the public API."""
    population = Population(
        bench.gateway_url,
        bench.api_key,
        ALIAS,
        feedback_share=options.feedback_share,
        seed=options.seed,
        max_tokens=bench.max_tokens,
    )
    async with population:
        console.print(f"\n[bold]2. Healthy traffic[/]: {shares.healthy} requests of the world the champion knows")
        await population.send(before[shares.champion :], FAST, story.outcomes.append, phase="before")
        await population.drain()
        _say_accuracy(console, story, "before")
        console.print(f"\n[bold]3. The world changes[/]: {len(after)} requests of the new one, in random order")
        story.mark("onset")
        rng = random.Random(f"after {options.seed}")
        rows = list(after)
        rng.shuffle(rows)
        director = Director(population, observer, shares, story, console, options.expect, bench.ended)
        directing = asyncio.create_task(director.run())
        await population.send(director.rows(rows), FAST, story.outcomes.append, phase="after")
        directing.cancel()
        [ended] = await asyncio.gather(directing, return_exceptions=True)
        if isinstance(ended, RuntimeError):
            raise ended
        await population.drain()
    return population


def _say_accuracy(console: Console, story: Story, phase: str) -> None:
    known = [o.correct for o in story.outcomes if o.phase == phase and o.correct is not None]
    if known:
        console.print(f"   {sum(known) / len(known):.1%} of {len(known)} answers were right")


def _report(
    options: Options,
    bench: Bench,
    shares: Plan,
    story: Story,
    observer: Observer | None,
    population: Population | None,
) -> report.Report:
    if observer:
        observer.close()
    seen = observer.seen if observer else None
    made = Run(
        model=bench.model.name,
        data=str(options.data) if options.data else f"own world ({options.shift})",
        expected=options.expect,
        outcomes=story.outcomes,
        ledger=seen.ledger if seen else [],
        windows=seen.windows if seen else [],
        alarms=seen.alarms if seen else [],
        requests=seen.requests if seen else [],
        results=seen.results if seen else [],
        routes=seen.routes if seen else [],
        marks=story.marks,
        events=story.events,
        feedback=_feedback(population),
        feedback_share=options.feedback_share,
        champion_rows=shares.champion,
        links={"MLflow: every training with its parameters, rows and adapter": str(bench.var / "mlflow" / "mlflow.db")},
        machine=bench.machine(),
        problem=story.problem,
    )
    return page.write(made, options.report)


def _feedback(population: Population | None) -> FeedbackCounts:
    if population is None:
        return FeedbackCounts()
    told = population.feedback
    return FeedbackCounts(sent=told.sent, accepted=told.accepted, failed=told.failed)


def _tell(console: Console, options: Options, done: report.Report) -> bool:
    good = report.succeeded(done, options.expect)
    console.rule()
    a = done.accuracy

    def show(value: float | None) -> str:
        return DASH if value is None else f"{value:.1%}"

    console.print(f"  outcome   [bold {'green' if good else 'red'}]{done.outcome}[/] (expected: {options.expect})")
    console.print(f"  accuracy  before {show(a.before)}   drifted {show(a.drifted)}   after {show(a.after)}")
    r = done.requests
    console.print(f"  requests  {r.sent} sent, {r.failed} failed, {r.misattributed} misattributed")
    for words in done.shortfalls:
        console.print(f"  [bold red]not so[/]    {words}")
    console.print(f"  report    {options.report / 'report.html'}")
    console.print(f"  replay    homeostat replay {options.report / 'ledger.jsonl'}")
    return good
