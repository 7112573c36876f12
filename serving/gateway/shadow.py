"""Mirrored traffic: what clients asked is asked of a shadow too; nobody gets its answers, the log does."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from serving import metrics
from serving.gateway.capture import Capture, Exchange, count
from serving.gateway.engines.link import Unreached
from serving.gateway.errors import ApiError
from serving.gateway.http.request import Message, Request
from serving.gateway.openai.request_body import Asked
from serving.gateway.patience import Patience
from serving.routes.routing import Choice, RouteTable, pick_shadow
from serving.settings import GatewaySettings
from streams.identity import uuid7

if TYPE_CHECKING:
    from serving.gateway.inference import Inference

log = structlog.get_logger()


@dataclass(slots=True)
class Shadow:
    """Never in a client's way: it asks once the client is answered, a bounded number at once, and leaves out the
    rest."""

    settings: GatewaySettings
    table: Callable[[], RouteTable]
    capture: Capture
    chance: Callable[[], float] = random.random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: int = 0

    def mirror(self, asked: Asked, served: Exchange, by: Inference) -> None:
        """Asks the alias's shadow what was asked, if it has one."""
        table = self.table()
        route = table.routes.get(asked.alias)
        if route is None or route.shadow is None or self.chance() >= self.settings.shadow_share:
            return
        self._turn += 1
        choice = pick_shadow(table, asked.alias, by.load, self._turn)
        if choice is None or len(self._tasks) >= self.settings.shadow_in_flight:
            metrics.SHADOWS_LEFT_OUT.labels(asked.alias).inc()
            return
        task = asyncio.get_running_loop().create_task(self._ask(asked, served, choice, by))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends what is under way; it is captured as not answered."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, asked: Asked, served: Exchange, choice: Choice, by: Inference) -> None:
        exchange = Exchange(uuid7(), asked, served.client, served.tags, time.perf_counter(), mirrors=served.event_id)
        exchange.choice, exchange.conversation = choice, served.conversation
        try:
            await by.ask(Unheard(), exchange, choice, Patience.of({}, self.settings.timeout_s))
        except ApiError as error:
            exchange.status = error.status
        except asyncio.CancelledError:
            exchange.status = 503
            raise
        except Unreached as error:
            exchange.status = 503
            log.warning("shadow not reached", replica=choice.replica, version=choice.version, error=str(error))
        except Exception:  # the task's top
            exchange.status = 500
            log.exception("shadow failed", event_id=exchange.event_id, version=choice.version)
        finally:
            self.capture(exchange)
            count(exchange)


class Unheard(Request):
    """A request whose answer nobody gets."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__({"method": "POST", "raw_path": b"/", "headers": ()}, _discard)


async def _discard(message: Message) -> None:
    """Take a message that no client gets."""
