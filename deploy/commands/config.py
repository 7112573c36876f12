"""The settings, for operators."""

from __future__ import annotations

import click


@click.command(short_help="Print every setting with its comment and default, as TOML.")
def config() -> None:
    """Print every setting with its comment and default, as TOML: the beginning of a homeostat.toml.

    Every command checks the file that it reads, and reports all problems at once."""
    from deploy.config.template import template

    click.echo(template(), nl=False)
