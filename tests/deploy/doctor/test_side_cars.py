"""The doctor asks side-cars as a gateway does, and looks at what one needs where it stands."""

from __future__ import annotations

import asyncio
import http.server
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.config.settings import Config
from deploy.doctor import engines, side_cars, standing
from deploy.doctor.findings import Finding, healthy
from deploy.stack import ports
from deploy.stack.settings import StackSettings
from retrain.settings import RetrainSettings
from serving.sidecar.settings import ListedReplica, SideCarSettings
from streams.engine_access import EngineAccess
from streams.events import ReplicaAttested
from streams.log.settings import KafkaSettings
from tests.deploy.support.asked_engine import asked_engine
from tests.serving.support.certificates import Certificates
from tests.serving.support.side_cars import OTHER_KEY, ScriptedSideCar, entry, signed

NOW = datetime.now(UTC)
Answer = Callable[[ScriptedSideCar, str], ReplicaAttested | web.Response]


def listing(**replicas: ListedReplica) -> Config:
    return Config(StackSettings(embedded_kafka=False), KafkaSettings("127.0.0.1:1"), replicas=replicas)


def bad(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(each.detail, each.remedy) for each in findings if not each.ok]


WRONG: dict[str, tuple[Answer, str, str]] = {
    "of another key": (lambda car, nonce: signed("r1", car.url, OTHER_KEY, nonce=nonce), "(signature)", "public_key"),
    "of another address": (
        lambda car, nonce: signed("r1", "http://10.0.0.1:8200", nonce=nonce),
        "(address): it names http://10.0.0.1:8200, the list http://127.0.0.1:",
        "replica.address",
    ),
    "replayed": (lambda car, nonce: signed("r1", car.url, nonce="n" * 32), "(nonce)", "homeostat run replica"),
    "of another replica": (lambda car, nonce: signed("r2", car.url, nonce=nonce), "(name): it is of r2", "that name"),
    "no attestation": (lambda car, nonce: web.Response(text="<html>"), "(malformed)", "homeostat run replica"),
    "not yet": (lambda car, nonce: web.Response(status=503, text="not looked at yet"), "not looked at yet", "expected"),
    "of an engine that is away": (
        lambda car, nonce: signed("r1", car.url, nonce=nonce, healthy=False),
        "its engine does not answer",
        "doctor --role replica",
    ),
    "elsewhere": (
        lambda car, nonce: web.Response(status=307, headers={"location": "http://127.0.0.1:1/"}),
        "answers 307",
        "homeostat run replica",
    ),
}


async def test_a_side_car_that_answers_as_it_must_is_well() -> None:
    async with ScriptedSideCar().serving() as car:
        (found,) = await asyncio.to_thread(standing_of, listing(r1=entry(car.url)))
    assert found.ok
    assert found.detail.startswith(f"{car.url} is believed, and serves support-")


def standing_of(config: Config) -> list[Finding]:
    return list(standing.asking(config))


@pytest.mark.parametrize("case", WRONG)
async def test_an_answer_that_gateways_do_not_believe_is_named_with_what_to_do(case: str) -> None:
    answer, why, remedy = WRONG[case]
    async with ScriptedSideCar().serving() as car:
        car.answer = lambda nonce: answer(car, nonce)
        (found,) = await asyncio.to_thread(standing_of, listing(r1=entry(car.url)))
    assert (found.ok, healthy([found])) == (False, False)
    assert why in found.detail
    assert remedy in found.remedy


def test_one_that_is_away_is_named_and_patterns_need_the_log() -> None:
    ((away, _),) = bad(side_cars.listed(listing(r1=entry("http://127.0.0.1:1")), [], NOW))
    assert away.startswith("http://127.0.0.1:1 cannot be reached")
    patterns = listing(**{"vllm-*": entry("http://127.0.0.1:1/{name}")})
    (none,) = side_cars.listed(patterns, ["gpu0"], NOW)
    assert (none.ok, none.needed) == (False, False)
    (named,) = side_cars.listed(patterns, ["vllm-0"], NOW)
    assert (named.name, named.needed) == ("vllm-0", True)


def test_files_of_the_list_are_looked_at(tmp_path: Path) -> None:
    made = Certificates(tmp_path)  # good for a day
    config = listing(r1=entry("https://127.0.0.1:1", ca=made.ca, cert=made.cert, key=made.key))
    assert {each.name for each in standing.engine_tls(config) if not each.ok} == {"replicas.r1.ca", "replicas.r1.cert"}
    lacking = listing(r1=entry("https://127.0.0.1:1", ca=tmp_path / "none.pem"))
    ((detail, remedy),) = bad(side_cars.listed(lacking, [], NOW))
    assert "No such file" in detail
    assert '[replicas."r1"]' in remedy


def answering(answers: Mapping[str, tuple[int, dict[str, str]]]) -> AbstractContextManager[tuple[str, list[str]]]:
    """An engine with these answers, by path, and the keys that it was shown."""
    return asked_engine(lambda path, _: answers.get(path, (404, {})))


def test_an_engines_key_is_shown_at_no_other_address(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key-of-an-engine")
    with answering({"/v1/models": (200, {})}) as (elsewhere, shown):
        with answering({"/v1/models": (307, {"location": f"{elsewhere}/v1/models"})}) as (url, _):
            access = EngineAccess(url=url, key_file=tmp_path / "key")
            ((detail, _),) = bad(engines.engine("gpu0", access, NOW, "engines.gpu0"))
        assert "answers 307" in detail
        assert shown == []


def test_the_engine_behind_a_side_car_is_looked_at_from_there(tmp_path: Path) -> None:
    def found(url: str, engine_key: Path | None = None, key: Path | None = None) -> list[tuple[str, str]]:
        settings = SideCarSettings(engine=url, engine_key_file=engine_key, key_file=key)
        return bad(side_cars.own(Config(replica=settings), NOW))

    with answering({"/v1/models": (200, {})}) as (url, _):
        ((detail, remedy),) = found(url)
        assert "takes no adapters while it runs" in detail
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in remedy
    with answering({"/v1/models": (200, {}), engines.LOAD: (405, {})}) as (url, _):
        assert found(url) == []
        ((detail, _),) = found(url, tmp_path / "none")
        assert f"{tmp_path / 'none'} cannot be read" in detail
        ((detail, remedy),) = found(url, key=tmp_path / "none")
        assert "No such file" in detail
        assert "key_file" in remedy
        rsa = generate_private_key(65_537, 2_048)
        (tmp_path / "rsa").write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        ((detail, _),) = found(url, key=tmp_path / "rsa")
        assert "expected Ed25519" in detail


def test_with_side_cars_a_trainer_needs_an_engine_of_its_own() -> None:
    def evaluating(own: str) -> Finding:
        made = Config(replicas={"r1": entry("http://127.0.0.1:1")}, retrain=RetrainSettings(own_engine=own))
        (found,) = standing.evaluating(made)
        return found

    assert evaluating("always").ok
    assert [(each.ok, each.needed) for each in map(evaluating, ("auto", "never"))] == [(False, False), (False, True)]
    (controllers,) = standing.loading(listing(r1=entry("http://127.0.0.1:1")))
    assert controllers.ok


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "::", "::1"])
def test_ports_are_looked_at_on_every_kind_of_address(bind: str) -> None:
    admin, clients = ports.free(2)
    config = Config(StackSettings(bind=bind, gateway_admin_port=admin, gateway_port=clients))
    found = list(standing.port("gateway", config))
    assert [(each.ok, each.detail) for each in found] == [
        (True, f"{bind}:{admin} is free"),
        (True, f"127.0.0.1:{clients} is free"),
    ]


def test_a_port_for_clients_that_another_process_has_is_named() -> None:
    admin, clients = ports.free(2)
    taken = http.server.HTTPServer(("127.0.0.1", clients), http.server.BaseHTTPRequestHandler)
    config = Config(StackSettings(gateway_admin_port=admin, gateway_port=clients))
    ((detail, _),) = bad(standing.port("gateway", config))
    assert f"port {clients} (stack.gateway_port) is taken by" in detail
    taken.server_close()
