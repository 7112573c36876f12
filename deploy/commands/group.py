"""Shared by all commands: their order, their errors, and the configuration."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
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
    """A group that lists its commands in the order of their definition; expected errors are one line, no traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands that are not hidden."""
        return [name for name, command in self.commands.items() if not command.hidden]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn an expected error into one message unless --debug is set."""
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
    """Return one line: a broker answered before, and its client got no further."""
    why = " ".join(str(error).split()) or type(error).__name__
    if type(error).__name__.endswith("AuthorizationFailedError"):  # kafka-python takes long to import
        return (
            f"Kafka at {bootstrap} does not let this account do that ({why}): `homeostat topics plan --acls` prints "
            "what each role must be allowed, and its account"
        )
    return (
        f"Kafka at {bootstrap} answers, but cannot be used ({why}): look at kafka.security or kafka.options, and at "
        "the addresses that the brokers advertise; `homeostat doctor` shows more"
    )


def load(path: Path | None) -> Config:
    """Load the configuration at `path`, or at `CONFIG`'s default. Logs go to stderr from here on: programs read the
    output of a command."""
    import logging

    import structlog

    from deploy.config.settings import load as read

    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # the command's own error repeats it
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),  # without the variables:
            # those of a configuration are secrets
        ],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    found = read(path)
    if found.tracking.uri:
        os.environ.setdefault("MLFLOW_TRACKING_URI", found.tracking.uri)  # of this process and those that it starts
    with suppress(OSError):  # most commands ask MLflow nothing; the trainer does not start without them
        for name, value in found.tracking.credentials().items():
            os.environ.setdefault(name, value)
    return found


def load_reached(path: Path | None) -> Config:
    """Load the configuration for a command that needs Kafka. Raise KafkaAway, within a second or two, where no broker
    answers."""
    from dataclasses import replace

    from deploy.stack.broker import reached

    config = load(path)
    click.get_current_context().meta[BROKERS] = config.kafka.bootstrap
    return replace(config, kafka=reached(config.kafka))


def console() -> Console:
    """Return the console for people."""
    from rich.console import Console

    return Console()
