"""Which attestations a process believes: those of its own engines, or those of the side-cars in `[replicas]`."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from deploy.config.settings import Config
from deploy.stack.engines import accesses

if TYPE_CHECKING:
    from serving.routes.follower import Follower
    from serving.routes.polling import SideCars
    from serving.routes.routing import RouteTable
    from serving.routes.trust import Trust

WITHIN = 0.5  # of the time after which a side-car is stale: one question may go unanswered


class Polled(NamedTuple):
    """The parts of a gateway that asks side-cars. `failing`: those to be asked last."""

    table: Callable[[], RouteTable]
    side_cars: SideCars
    failing: Callable[[], frozenset[str]]
    tls_at: Callable[[str], ssl.SSLContext | None]


def trusted(config: Config) -> Trust:
    """Return which attestations of the log count. With a list, unsigned ones count no more."""
    from serving.routes.trust import own_engines

    if not config.replicas:
        return own_engines([each.address for each in accesses(config).values()])
    from serving.routes.listed import ReplicaList

    return ReplicaList(config.replicas).trusts


def polled_side_cars(config: Config, follower: Follower) -> Polled | None:
    """Return how a gateway asks the side-cars of `[replicas]`; None where there are none. The caller starts it."""
    if not config.replicas:
        return None
    from serving.routes.answers import Answers
    from serving.routes.listed import ReplicaList
    from serving.routes.polling import SideCars

    listed, settings = ReplicaList(config.replicas), config.gateway
    answers = Answers(follower.table, settings.replica_stale_s)
    within_s = WITHIN * settings.replica_stale_s
    side_cars = SideCars(listed, follower.table, answers, settings.replica_poll_s, within_s)
    follower.listen_to_attestations(side_cars.wake)
    return Polled(answers.table, side_cars, side_cars.failing, listed.tls_at)
