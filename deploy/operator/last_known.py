"""An answer for a pause, a resume or a rollback that finds no Kafka, or loses it: how things stand, and what can be
done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from deploy.stack.broker import KafkaAway
from monitor.canonical import UNREADABLE
from streams.events import RouteWritten
from streams.files import stamp
from streams.log.patience import BrokersSilent

UNTIL_THEN = (
    "Meanwhile gateways serve the routes that they know, and nothing is retrained, promoted or rolled back: all of "
    "that goes through the log."
)
NOW = "to keep anything from acting as soon as Kafka is back, stop the processes controller and trainer now."


class KnownRoutes(msgspec.Struct, frozen=True):
    """The part of a process's snapshot that is needed here."""

    routes: list[RouteWritten] = []


@contextmanager
def explained(var: Path, act: str, alias: str | None) -> Iterator[None]:
    """Raise KafkaAway with the whole answer, where the block raises it or BrokersSilent. `act`: the command."""
    try:
        yield
    except KafkaAway as error:
        nothing = f"Nothing was written: {act} holds once the log has it."
        raise KafkaAway(
            "\n".join([str(error), nothing, _known(var, act, alias), UNTIL_THEN, _next(act, alias)])
        ) from error
    except BrokersSilent as error:
        perhaps = f"Whether {act} was written is not known: it holds once the log has it."
        answer = [str(error), perhaps, _known(var, act, alias), _next(act, alias)]
        raise KafkaAway("\n".join(answer)) from error


def _next(act: str, alias: str | None) -> str:
    again = f"homeostat {act}" + (f" {alias}" if alias else "")
    return f"Next: give `{again}` again once Kafka answers" + ("." if act == "resume" else f"; {NOW}")


def _known(var: Path, act: str, alias: str | None) -> str:
    newest = max(((found, path) for path in (var / "routes").glob("*.json") if (found := stamp(path))), default=None)
    try:
        routes = msgspec.json.decode(newest[1].read_bytes(), type=KnownRoutes).routes if newest else []
    except (OSError, *UNREADABLE):
        routes = []
    known = sorted((each for each in routes if alias in (None, each.alias)), key=lambda each: each.alias)
    if newest is None or not known:
        return f"The routes are not known here: no process has left them in {var / 'routes'}."
    minutes = max(0.0, time.time() - newest[0][0] / 1e9) / 60
    return f"Known last, {minutes:.0f} min ago: " + "; ".join(_shown(each, act) for each in known)


def _shown(route: RouteWritten, act: str) -> str:
    parts = [f"{route.alias} serves {route.champion}", "paused" if route.paused else "not paused"]
    parts += [f"{route.canary} is on trial"] if route.canary else []
    parts += [f"the champion before is {route.previous or 'none'}"] if act == "rollback" else []
    return ", ".join(parts)
