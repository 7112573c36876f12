"""What all commands share: how they are listed, how errors are told, and where the configuration is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.config.parse import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from deploy.config.settings import Config

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="HOMEOSTAT_CONFIG",
    help="homeostat.toml; without it ./homeostat.toml if there is one, else the built-in defaults.",
)
BROKERS = "deploy.brokers"  # of click's context: their address
EXPECTED_ERRORS = (ConfigError, LookupError, ValueError, OSError, RuntimeError)


class Ordered(click.Group):
    """Lists the commands in the order they are met in life; expected errors are one message, not a traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, command in self.commands.items() if not command.hidden]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # how click ends; RuntimeErrors by descent only
            raise
        except EXPECTED_ERRORS as error:
            if ctx.params.get("debug"):
                raise
            raise click.ClickException(str(error) or type(error).__name__) from error
        except Exception as error:
            if ctx.params.get("debug") or not type(error).__module__.startswith("kafka."):
                raise
            raise click.ClickException(_refused(error, ctx.meta.get(BROKERS, ""))) from error


def _refused(error: Exception, bootstrap: str) -> str:
    """In one line: a broker answered before, and its client got no further."""
    why = " ".join(str(error).split()) or type(error).__name__
    return (
        f"Kafka at {bootstrap} answers, but cannot be used ({why}): look at kafka.options (security_protocol, "
        "password) and at the addresses that the brokers advertise; `homeostat doctor` tells more"
    )


def load(path: Path | None) -> Config:
    """The configuration at `path`, or where `CONFIG` says. What is logged from here on goes to stderr: programs read
    what a command prints."""
    import logging

    import structlog

    from deploy.config.settings import load as read

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # what it says is said again by the command's own error
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    return read(path)


def load_reached(path: Path | None) -> Config:
    """The same for commands that need Kafka: raises KafkaAway, within a second or two, where no broker answers."""
    from dataclasses import replace

    from deploy.stack.broker import reached

    config = load(path)
    click.get_current_context().meta[BROKERS] = config.kafka.bootstrap
    return replace(config, kafka=reached(config.kafka))


def console() -> Console:
    """Where people read."""
    from rich.console import Console

    return Console()
