"""The settings, for operators."""

from __future__ import annotations

import click


@click.command(short_help="Print every setting with its comment and default, as TOML.")
def config() -> None:
    """Print every setting with its comment and default, as TOML: the beginning of a homeostat.toml.

    What a file says is checked by every command, all problems at once; `homeostat doctor` does nothing else."""
    from deploy.config.template import template

    click.echo(template(), nl=False)
