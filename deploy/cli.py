"""`homeostat`: the one command. Each subcommand imports only what it needs, so that help is instant."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from deploy.parse import ConfigError

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HOMEOSTAT_CONFIG",
    help="homeostat.toml; defaults to ./homeostat.toml if there is one, else the built-in defaults.",
)


class Ordered(click.Group):
    """Lists the commands in the order they are met in life."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (ConfigError, LookupError, ValueError, OSError, RuntimeError) as error:
            if "--debug" in sys.argv:
                raise
            raise click.ClickException(str(error)) from error


@click.group(cls=Ordered, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--debug", is_flag=True, help="Show where an error comes from.")
@click.version_option(package_name="homeostat")
def main(debug: bool) -> None:
    """Keeps fine-tuned LLM adapters healthy in production.

    Clients talk to an OpenAI-compatible gateway in front of vLLM. Their traffic is watched; when the model is
    harmed, a candidate is trained, has to prove itself, and is swapped in without a restart.

    Start with `homeostat demo`: it shows the whole loop on this machine.
    """


def load_config(path: Path | None):  # type: ignore[no-untyped-def]
    """The configuration, from the given file, ./homeostat.toml, or defaults."""
    from deploy.config import load

    return load(path)
