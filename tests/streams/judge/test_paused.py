from __future__ import annotations

from streams.events import RouteWritten
from streams.judge.paused import PausedAliases
from streams.log.read import Record
from streams.log.settings import KafkaSettings


def route(generation: int, paused: bool, alias: str = "support") -> RouteWritten:
    return RouteWritten(
        alias=alias, generation=generation, champion="c", adapters={}, time_ms=0, by="test", paused=paused
    )


def test_the_first_route_of_a_generation_says_whether_it_is_paused() -> None:
    aliases = PausedAliases(KafkaSettings())
    assert not aliases.paused("support")
    for each in (route(1, False), route(2, True), route(2, False), route(1, False)):
        aliases.take(Record(0, 0, 0, each))
    assert aliases.paused("support")
    aliases.take(Record(0, 1, 0, route(3, False)))
    assert not aliases.paused("support")
