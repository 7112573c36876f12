"""Several gateways on one port: the same routes, each its own journal. Real Kafka, real processes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import pytest

from deploy.stack import ports
from streams.events import InferenceServed
from streams.log.read import read
from streams.topics import INFERENCE
from tests.serving.support.load import Sample, request, run
from tests.serving.support.log_records import VERSIONS
from tests.serving.support.stack import Place
from tests.support.waiting import wait

pytestmark = pytest.mark.kafka
BODY = {"model": "support", "messages": [{"role": "user", "content": "Where is my card?"}]}
GATEWAYS = ("gateway", "gateway-1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    more = ports.free(1)
    made = Place(tmp_path_factory.mktemp("pair"), {"stack": {"more_gateway_admin_ports": more}})
    made.instant()
    with made.running("kafka", "engine-0", *GATEWAYS):
        made.records.attest()
        made.records.route(VERSIONS[0], VERSIONS[1])
        wait(made.ready, "the gateways are ready")
        yield made


def ask(place: Place, count: int, clients: int = 8) -> Sample:
    data = request("/v1/chat/completions", BODY, place.key)
    return asyncio.run(run(place.port, data, count, clients))


def sources(place: Place) -> dict[str, int]:
    """How many events each gateway's shipper says it has sent."""
    return {
        name: sum(map(int, re.findall(r'"inference.events": *(\d+)', path.read_text())))
        for name in GATEWAYS
        if (path := place.folder / "spool" / name / "status.json").exists()
    }


def test_they_share_the_clients_and_follow_the_same_routes(place: Place) -> None:
    for _ in range(4):  # who gets a connection is the system's choice
        assert ask(place, 200, 16).failed == 0
    place.records.route(VERSIONS[1], VERSIONS[0])
    wait(lambda: versions(place) == {VERSIONS[1]}, "both gateways follow the new route")
    wait(lambda: len(events(place)) >= 800, "every reply is an event")
    wait(lambda: len(found := sources(place)) == 2 and min(found.values()) > 0, "both have shipped")


def test_one_that_dies_takes_only_what_it_was_answering_along(place: Place) -> None:
    place.kill("gateway-1", whole=True)
    assert ask(place, 100).failed == 0
    place.start("gateway-1")
    wait(place.ready, "both gateways are ready")
    assert ask(place, 100, 16).failed == 0


def versions(place: Place) -> set[str]:
    """Who answers, over many connections."""

    async def each() -> set[str]:
        from tests.serving.support.load import connect

        found = set()
        for _ in range(16):
            connection = await connect(place.port)
            head = (await connection.ask(request("/v1/chat/completions", BODY, place.key))).head
            found.add(re.findall(rb"x-homeostat-version: (\S+)", head)[0].decode())
            connection.transport.close()
        return found

    return asyncio.run(each())


def events(place: Place) -> list[str]:
    return [record.event.id for record in read(place.config.kafka, INFERENCE, InferenceServed)]
