"""The gate alone, on files of evaluation harnesses."""

from __future__ import annotations

import math
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.commands.group import EXPECTED_ERRORS

if TYPE_CHECKING:
    from retrain.harness.verdict import FileVerdict

EXITS = {"promote": 0, "reject": 1, "inconclusive": 2}
BAD_INPUT = 3
ATTEMPTS = 64  # at the same thing: nothing passes at the level of a later one
ENDS = "the worst score and then a higher one, the best; where less is better, call the field loss"
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


class UnusableInput(click.ClickException):
    """Files or values that cannot be used."""

    exit_code = BAD_INPUT


class UnusableOption(click.UsageError):
    """Options that cannot be used."""

    exit_code = BAD_INPUT


class GateCommand(click.Command):
    """A command whose exit codes 1 and 2 are verdicts: what cannot be used ends with 3."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; a wrong one ends with 3."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise UnusableOption(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; whatever keeps it from a verdict ends with 3, for 1 and 2 are verdicts."""
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, SystemExit):
            raise
        except ImportError as error:
            raise UnusableInput(f"{error}: it comes with homeostat[retrain]") from error
        except EXPECTED_ERRORS as error:
            if ctx.find_root().params.get("debug"):
                traceback.print_exc()
            raise UnusableInput(str(error) or type(error).__name__) from error
        except (KeyboardInterrupt, Exception) as error:  # the command's top: the traceback says what it was
            traceback.print_exc()
            raise UnusableInput(f"no verdict: {type(error).__name__}: {error}") from error


@click.command(cls=GateCommand, short_help="Compare two evaluations of the same questions.")
@click.argument("champion", type=FILE)
@click.argument("candidate", type=FILE)
@click.option("--regression", type=FILE, nargs=2, help="Both sides' files of what the champion could do.")
@click.option("--score", default="", help="Field with the score. Default: the only one that there is.")
@click.option("--id", "id_field", default="", help="Field that pairs the rows. Default: id, doc_id, or the question.")
@click.option("--group", "groups", multiple=True, help="Field whose values are groups. May be repeated.")
@click.option("--range", "bounds", type=float, nargs=2, default=(0.0, 1.0), help="The worst and the best score: 0 1.")
@click.option("--gain", type=click.FloatRange(0), help="By which it must be better. Default: by however little.")
@click.option("--not-worse-by", "margin", type=click.FloatRange(0), help="Ask for this instead of better.")
@click.option("--regression-margin", type=click.FloatRange(0), default=0.1, show_default=True, help="Of that part.")
@click.option("--group-margin", type=click.FloatRange(0), default=0.1, show_default=True, help="Of each group.")
@click.option(
    "--also", type=(str, float), multiple=True, metavar="FIELD MARGIN", help="Not worse by this score either."
)
@click.option("--limit", type=(str, float), multiple=True, metavar="FIELD RATIO", help="At most so many times.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Chance to pass undeservedly.")
@click.option("--attempt", type=click.IntRange(1, ATTEMPTS), help="Of several at the same: the k-th has alpha / 2^k.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Write the verdict as a page, too.")
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def gate(champion: Path, candidate: Path, page: Path | None, as_json: bool, **chosen: Any) -> None:
    """Compare two evaluations of the same questions: exit 0 to promote, 1 to reject, 2 where they do not tell, 3 for
    files or options that cannot be used.

    The files are samples of lm-evaluation-harness (JSON lines), logs of Inspect (.json or .eval), evaluation tables of
    MLflow (JSON, CSV, Parquet), or JSON lines with id and score or loss, and group, unit, part as you like. Rows are
    paired by id. Margins are in the score's own unit. No other part of Homeostat needs to run."""
    from retrain.harness.verdict import judged

    healthy = chosen.pop("regression")
    reading, claims = _asked(**chosen)
    verdict, found = judged(champion, candidate, reading, claims, healthy)
    if page is not None:
        from deploy.gate.page import write

        write(verdict, found, page)
    _print(verdict, as_json)
    if page is not None and not as_json:
        click.echo(f"\n{page}")
    raise SystemExit(EXITS[verdict.status])


def _asked(
    *,
    bounds: tuple[float, float],
    gain: float | None,
    margin: float | None,
    also: tuple[tuple[str, float], ...],
    limit: tuple[tuple[str, float], ...],
    alpha: float,
    attempt: int | None,
    **chosen: Any,
) -> tuple[Any, Any]:
    """Return what the options ask. Raise UsageError for values that contradict each other, or mean nothing."""
    from retrain.evaluation.checks import level
    from retrain.harness.samples import Reading
    from retrain.harness.verdict import Claims

    low, high = bounds
    width = high - low
    margins = {"--gain": gain or 0.0, "--not-worse-by": margin or 0.0}
    margins |= {f"--{name}-margin": chosen[f"{name}_margin"] for name in ("regression", "group")}
    _require(width > 0 and math.isfinite(width), f"--range is {low:g} {high:g}, expected {ENDS}")
    _require(0 < alpha < 0.5, f"--alpha is {alpha:g}, expected a share between 0 and 0.5")
    _require(gain is None or margin is None, "--gain and --not-worse-by contradict each other, expected one of them")
    for name, value in margins.items():
        _require(value < width, f"{name} is {value:g}, expected less than the range's width, {width:g}")
    for name, value in also:
        _require(0 <= value < 1, f"--also {name} is {value:g}, expected a margin from 0 to below 1")
    for name, value in limit:
        _require(value > 1, f"--limit {name} is {value:g}, expected a ratio of more than 1")
    numbers = {name: 1.0 for name, _ in also} | {name: math.inf for name, _ in limit}
    reading = Reading(
        score=chosen["score"], id=chosen["id_field"], groups=chosen["groups"], numbers=numbers, low=low, high=high
    )
    claims = Claims(
        gain=gain or 0.0,
        margin=margin,
        regression_margin=chosen["regression_margin"],
        group_margin=chosen["group_margin"],
        also=dict(also),
        limits=dict(limit),
        alpha=level(alpha, attempt) if attempt else alpha,
    )
    return reading, claims


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UnusableOption(message)


def _print(verdict: FileVerdict, as_json: bool) -> None:
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(verdict), indent=2).decode())
        return
    from deploy.gate.table import lines

    for line in lines(verdict):
        click.echo(line)
