"""Mirrored traffic: a shadow answers what clients asked; only the log gets its answers."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from serving import metrics
from serving.gateway.capture import count
from serving.gateway.engines.link import Unreached
from serving.gateway.errors import ApiError
from serving.gateway.exchange import Exchange
from serving.gateway.forward import Forward
from serving.gateway.patience import Patience
from serving.routes.routing import Choice, RouteTable, pick_shadow
from serving.settings import GatewaySettings
from streams.identity import uuid7

log = structlog.get_logger()


@dataclass(slots=True)
class Mirror:
    """The sender of mirrored requests. It is never in a client's way: it asks once the client is answered, a bounded
    number at once, and leaves out the rest."""

    settings: GatewaySettings
    table: Callable[[], RouteTable]
    forward: Forward
    chance: Callable[[], float] = random.random
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: int = 0

    def send(self, served: Exchange) -> None:
        """Ask the alias's shadow, if it has one, what the client asked."""
        table, alias = self.table(), served.asked.alias
        route = table.routes.get(alias)
        if route is None or route.shadow is None or self.chance() >= self.settings.shadow_share:
            return
        self._turn += 1
        choice = pick_shadow(table, alias, self.forward.load, self._turn)
        if choice is None or len(self._tasks) >= self.settings.shadow_in_flight:
            metrics.SHADOWS_LEFT_OUT.labels(alias).inc()
            return
        task = asyncio.get_running_loop().create_task(self._ask(served, choice))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End what is under way; it is captured as not answered."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, served: Exchange, choice: Choice) -> None:
        began_s, mirrors = time.perf_counter(), served.event_id
        exchange = Exchange(uuid7(), served.asked, served.client, served.tags, began_s, mirrors=mirrors)
        exchange.choice, exchange.user = choice, served.user
        exchange.conversation, exchange.tenant = served.conversation, served.tenant
        try:
            await self.forward.ask(exchange, choice, Patience.of({}, self.settings.timeout_s))
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
            self.forward.capture(exchange)
            count(exchange)
