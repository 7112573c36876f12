"""People in the loop: the review queue, answers, comparisons, other tools, and signatures for candidates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.commands.group import CONFIG, Ordered, load_reached

if TYPE_CHECKING:
    from deploy.config.settings import Config
    from deploy.operator.review.answers import ReviewAnswer

FORM_NAMES = ("jsonl", "argilla", "label-studio", "langfuse")
KEY = click.option(
    "--key",
    "secret",
    envvar="HOMEOSTAT_KEY",
    default="",
    help="Your own API key, by which the answer is yours (better: HOMEOSTAT_KEY in the environment).",
)
FORM = click.option("--form", type=click.Choice(FORM_NAMES), default="jsonl", show_default=True, help="Of which tool.")


@click.group(cls=Ordered, short_help="Look at replies, answer, sign for candidates.")
def review() -> None:
    """List replies that are worth a look, take answers, sign for candidates.

    A person is a key of `homeostat key NAME --scope review` (answers) or `--scope approve` (candidates), in
    `gateway.keys_file`."""


@review.command(name="list", short_help="The queue, each reply with all reasons why it is there.")
@click.argument("alias")
@FORM
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Into this file instead.")
@click.option("--most", default=200, show_default=True, type=click.IntRange(1), help="Replies, at most.")
@CONFIG
def review_list(alias: str, form: str, out: Path | None, most: int, config_path: Path | None) -> None:
    """List the replies of ALIAS that are worth a look, in the form that another tool imports.

    They are audited, asked for by the gate or an alarm, near the gate's edge, disagreed about, or unsure. `review take`
    reads what the tool exports."""
    from deploy.operator.review.desk import ReviewDesk
    from deploy.operator.review.exchange.forms import FORMS
    from streams.files import write_private

    items = ReviewDesk(load_reached(config_path)).queue(alias)
    data = FORMS[form].written(items[:most], alias)
    if out is None:
        click.echo(data, nl=False)
    else:
        write_private(out, data)
    click.echo(f"{len(items)} replies of {alias} are worth a look", err=True)


@review.command(name="next", short_help="The next reply for you.")
@click.argument("alias")
@click.option("--skip", multiple=True, help="A reply that you have just answered; may be given often.")
@KEY
@CONFIG
def review_next(alias: str, skip: tuple[str, ...], secret: str, config_path: Path | None) -> None:
    """Show the next reply of ALIAS for you, without its reasons: some are there to compare reviewers."""
    from msgspec import json

    from deploy.operator.review.desk import ReviewDesk

    config = load_reached(config_path)
    found = ReviewDesk(config).next(alias, _person(config, secret, "review"), skip)
    if found is None:
        raise click.ClickException(f"{alias}: nothing waits for you")
    click.echo(json.format(json.encode({"id": found.id, "question": found.question, "answer": found.answer})))


@review.command(name="accept")
@click.argument("alias")
@click.argument("id")
@KEY
@CONFIG
def review_accept(alias: str, id: str, secret: str, config_path: Path | None) -> None:
    """Accept a reply: its answer is right."""
    from deploy.operator.review.answers import ReviewAnswer

    _take(load_reached(config_path), alias, [ReviewAnswer(id, "accept")], secret)


@review.command(name="correct", short_help="Give the right answer to a reply.")
@click.argument("alias")
@click.argument("id")
@click.argument("text")
@KEY
@CONFIG
def review_correct(alias: str, id: str, text: str, secret: str, config_path: Path | None) -> None:
    """Give the right answer to a reply: TEXT is what the answer should have been."""
    from deploy.operator.review.answers import ReviewAnswer

    _take(load_reached(config_path), alias, [ReviewAnswer(id, "correct", text=text)], secret)


@review.command(name="score")
@click.argument("alias")
@click.argument("id")
@click.argument("score", type=float)
@KEY
@CONFIG
def review_score(alias: str, id: str, score: float, secret: str, config_path: Path | None) -> None:
    """Score a reply from 0 (bad) to 1 (good)."""
    from deploy.operator.review.answers import ReviewAnswer

    _take(load_reached(config_path), alias, [ReviewAnswer(id, "score", score=score)], secret)


@review.command(name="take", short_help="Answers from a file of another tool.")
@click.argument("alias")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@FORM
@KEY
@CONFIG
def review_take(alias: str, file: Path, form: str, secret: str, config_path: Path | None) -> None:
    """Take the answers in FILE, as the tool exported it.

    Nothing is sent where a line or a field is wrong. Whom the tool names as author is kept apart under your key, by a
    pseudonym; the same file again changes nothing."""
    from deploy.operator.review.exchange.forms import answers

    _take(load_reached(config_path), alias, answers(form, file), secret)


@review.command(name="compare", short_help="Two answers side by side: which is better?")
@click.argument("alias")
@click.argument("pair", required=False)
@click.argument("choice", required=False, type=click.Choice(["a", "b", "tie"]))
@KEY
@CONFIG
def review_compare(alias: str, pair: str | None, choice: str | None, secret: str, config_path: Path | None) -> None:
    """Show two answers to one question, or record with PAIR and CHOICE which one you prefer.

    One is of the version that served, the other of a shadow; you do not see which."""
    from msgspec import json

    from deploy.operator.review.desk import ReviewDesk

    config = load_reached(config_path)
    by, desk = _person(config, secret, "review"), ReviewDesk(config)
    if pair is None:
        shown = next(desk.pairs(alias, by), None)
        if shown is None:
            raise click.ClickException(f"{alias}: no pair waits for you; `homeostat shadow` makes some")
        click.echo(json.format(json.encode(shown)))
    elif choice is None:
        raise click.UsageError("CHOICE is missing, expected a, b or tie")
    else:
        desk.prefer(alias, pair, choice, by)  # type: ignore[arg-type]
        click.echo("taken")


@review.command(name="agreement", short_help="How far people agree.")
@click.argument("alias")
@CONFIG
def review_agreement(alias: str, config_path: Path | None) -> None:
    """Show how far people agree about ALIAS, each reviewer's spot checks, and the preferences."""
    from deploy.operator.review.desk import ReviewDesk

    for line in ReviewDesk(load_reached(config_path)).figures(alias):
        click.echo(line)


@review.command(name="candidates")
@CONFIG
def review_candidates(config_path: Path | None) -> None:
    """List the candidates that wait for approval."""
    from deploy.operator.review.desk import ReviewDesk
    from deploy.show.times import clock

    for each in ReviewDesk(load_reached(config_path)).candidates():
        by = f" ({', '.join(each.signed)})" if each.signed else ""
        click.echo(f"{each.version}: {each.standing}{by}, until {clock(each.until_ms)}; {each.reason}")


@review.command(name="approve", short_help="Sign for a candidate.")
@click.argument("version")
@KEY
@CONFIG
def review_approve(version: str, secret: str, config_path: Path | None) -> None:
    """Sign for a candidate: with `policy.approvals` people its rollout begins."""
    _sign(load_reached(config_path), version, secret, approves=True)


@review.command(name="refuse")
@click.argument("version")
@click.option("--reason", required=True, help="Why; it stands in the ledger.")
@KEY
@CONFIG
def review_refuse(version: str, reason: str, secret: str, config_path: Path | None) -> None:
    """Refuse a candidate, which ends it."""
    _sign(load_reached(config_path), version, secret, approves=False, reason=reason)


def _take(config: Config, alias: str, answers: list[ReviewAnswer], secret: str) -> None:
    from deploy.operator.review.desk import ReviewDesk

    by = _person(config, secret, "review")
    taken = ReviewDesk(config).take(alias, answers, by)
    click.echo(f"{len(taken.events) + len(taken.checks)} answers of {by} taken")


def _sign(config: Config, version: str, secret: str, *, approves: bool, reason: str = "") -> None:
    from serving.rollout.operations import sign
    from streams.identity import VERSION

    matched = VERSION.fullmatch(version)
    if matched is None:
        raise click.UsageError(f"VERSION is {version!r}, expected an alias and twelve digits, as support-0123456789ab")
    by = _person(config, secret, "approve")
    click.echo(sign(config.kafka, matched["alias"], version, by, approves=approves, reason=reason).summary)


def _person(config: Config, secret: str, scope: str) -> str:
    """Return whose key or token it is: the person where they sign, the key where it reviews. Raise ClickException where
    it may not do it."""
    if not secret:
        raise click.UsageError("your API key is missing, expected it as HOMEOSTAT_KEY in the environment, or as --key")
    from deploy.roles.access import key_ring
    from serving.gateway.errors import ApiError

    with key_ring(config, "review", _revoked(config), default=False) as keys:
        try:
            key = keys.authorise(f"Bearer {secret}", scope)
        except ApiError as error:
            raise click.ClickException(str(error)) from error
    return key.person if scope == "approve" else key.reviewer


def _revoked(config: Config) -> frozenset[str]:
    """Return the digests of revoked keys; none while Kafka is away, when nothing can be answered or signed."""
    from deploy.stack.broker import KafkaAway, reached
    from serving.gateway.access.revocations import revoked

    try:
        return revoked(reached(config.kafka))
    except KafkaAway:
        return frozenset()
