"""The admin port: open probes, and operators' requests with a key of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from kafka.errors import KafkaTimeoutError

from deploy.stack import ports
from serving.gateway.access.audit import AuditLog
from serving.gateway.access.issuer_keys import IssuerKeys
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.access.tokens import Tokens
from serving.gateway.admin.port import serving_admin
from serving.rollout.approvals import NeededApproval, Signatures, settled
from serving.rollout.changes import EngineLimits
from serving.routes.routing import RouteTable
from streams import ledger
from streams.events import KeyRevoked, ReplicaAttested, RetrainReported, RouteWritten
from streams.identity import uuid7, version_name
from streams.kinds import RetrainStatus
from streams.log.append import Appender
from streams.log.read import read
from streams.log.settings import KafkaSettings
from streams.routes import in_force
from streams.topics import RESULTS, REVOCATIONS, ROUTES
from tests.serving.support.fake_log import AdminLog, route
from tests.serving.support.issuer import Issuer

ANN = Key.of("ann", "ann", ["admin", "approve"])
KEYS = [ANN, Key.of("bob", "bob", ["infer"])]


@dataclass
class AdminAnswer:
    status: int
    headers: Any
    text: str

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.text))

    @property
    def error(self) -> dict[str, Any]:
        error = self.body["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return dict(error)


class Port:
    def __init__(self, port: int, http: aiohttp.ClientSession) -> None:
        self.port, self.http = port, http

    async def ask(self, method: str, path: str, body: Any = None, key: str | None = "ann") -> AdminAnswer:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        url = f"http://127.0.0.1:{self.port}{path}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with self.http.request(method, url, data=data, headers=headers) as reply:
            return AdminAnswer(reply.status, reply.headers, await reply.text())


@asynccontextmanager
async def serving(
    table: RouteTable, kafka: KafkaSettings | None = None, limits: EngineLimits | None = None, **more: Any
) -> AsyncIterator[Port]:
    port = ports.free(1)[0]
    ring = more.pop("keys", KeyRing(KEYS))
    keys = None if more.get("ready") else ring
    async with (
        serving_admin("127.0.0.1", port, lambda: table, keys, kafka or KafkaSettings(), limits=limits, **more),
        aiohttp.ClientSession() as http,
    ):
        yield Port(port, http)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> AdminLog:
    log = AdminLog.under(monkeypatch)
    log.put(ROUTES, route())
    return log


def table_of(*routes: RouteWritten, healthy: bool = True) -> RouteTable:
    table = RouteTable()
    for each in routes:
        table = table.with_route(each)
    attested = ReplicaAttested(
        replica="engine-0",
        url="http://e",
        time_ms=1,
        healthy=healthy,
        base_model="b",
        versions=route().adapters,
        generations={},
    )
    return table.with_attestation(attested)


async def test_probes_need_no_key() -> None:
    async with serving(table_of(route())) as port:
        for path, text in (("/healthz", "ok\n"), ("/readyz", "ready\n"), ("/metrics", "homeostat_route_generation")):
            answer = await port.ask("GET", path, key=None)
            assert answer.status == 200
            assert text in answer.text


@pytest.mark.parametrize(
    ("table", "ready", "lacking"),
    [
        (table_of(route()), False, "asked to end"),
        (table_of(route(), healthy=False), True, "no healthy replica serves support"),
        (RouteTable(), True, "no route yet"),
    ],
)
async def test_not_ready_says_why(table: RouteTable, ready: bool, lacking: str) -> None:
    async with serving(table, ready=lambda: ready) as port:
        answer = await port.ask("GET", "/readyz", key=None)
        assert (answer.status, lacking in answer.text) == (503, True)
        assert (await port.ask("GET", "/healthz", key=None)).status == 200
        assert (await port.ask("POST", "/v1/pause")).status == 404, "without keys none may do anything"


async def test_an_alias_without_a_replica_keeps_no_client_of_another_away() -> None:
    """Every gateway would be taken out of its Service at once."""
    async with serving(table_of(route(), route("sales")), ready=lambda: True) as port:
        answer = await port.ask("GET", "/readyz", key=None)
        assert (answer.status, answer.text) == (200, "ready; no healthy replica serves sales\n")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/routes"),
        ("GET", "/v1/replicas"),
        ("POST", "/v1/pause"),
        ("POST", "/v1/resume"),
        ("POST", "/v1/aliases/support/pause"),
        ("POST", "/v1/aliases/support/resume"),
        ("POST", "/v1/aliases/support/rollback"),
        ("PUT", "/v1/aliases/support/shadow"),
        ("DELETE", "/v1/aliases/support/shadow"),
    ],
)
async def test_everything_else_needs_a_key_of_the_scope_admin(log: AdminLog, method: str, path: str) -> None:
    async with serving(table_of(route())) as port:
        assert (await port.ask(method, path, key=None)).error["code"] == "missing_api_key"
        answer = await port.ask(method, path, key="bob")
        assert (answer.status, answer.error["type"]) == (403, "permission_error")
    assert len(log.routes) == 1


async def test_what_is_known_is_shown(log: AdminLog) -> None:
    async with serving(table_of(route(), route("billing"))) as port:
        routes = (await port.ask("GET", "/v1/routes")).body["routes"]
        assert [each["alias"] for each in routes] == ["billing", "support"]
        (replica,) = (await port.ask("GET", "/v1/replicas")).body["replicas"]
        assert (replica["replica"], replica["healthy"]) == ("engine-0", True)


async def test_no_answer_has_the_salt_by_which_arms_are_drawn(log: AdminLog) -> None:
    rolled = msgspec.structs.replace(route("billing"), salt="a secret", canary="billing-bbbbbbbbbbbb", weight=0.5)
    log.put(ROUTES, rolled)
    async with serving(table_of(rolled)) as port:
        shown = [await port.ask("GET", "/v1/routes"), await port.ask("POST", "/v1/aliases/billing/pause")]
        shown.append(await port.ask("POST", "/v1/resume"))
        assert all(answer.status == 200 and "a secret" not in answer.text for answer in shown)
    assert in_force(log.routes)["billing"].salt == "a secret", "a pause keeps the arms"


async def test_one_request_stops_everything(log: AdminLog) -> None:
    log.put(ROUTES, route("billing"))
    async with serving(table_of(route())) as port:
        assert [each["paused"] for each in (await port.ask("POST", "/v1/pause")).body["routes"]] == [True, True]
        assert all(each.paused for each in in_force(log.routes).values())
        assert (await port.ask("POST", "/v1/aliases/billing/resume")).body["paused"] is False
        assert [each["paused"] for each in (await port.ask("POST", "/v1/resume")).body["routes"]] == [False, False]
    assert {each.inputs["by"] for each in log.decisions} == {"admin/ann"}


async def test_a_rollback_and_a_second_one(log: AdminLog) -> None:
    async with serving(table_of(route())) as port:
        assert (await port.ask("POST", "/v1/aliases/support/rollback")).body["champion"] == route().previous
        again = await port.ask("POST", "/v1/aliases/support/rollback")
        assert (again.status, again.error["code"]) == (409, "conflict")


async def test_a_shadow_comes_and_goes(log: AdminLog) -> None:
    path, version = "/v1/aliases/support/shadow", "support-cccccccccccc"
    async with serving(table_of(route()), limits=EngineLimits(3, 16)) as port:
        unknown = await port.ask("PUT", path, {"version": version})
        assert (unknown.status, unknown.error["code"]) == (404, "unknown_version")
        set_to = await port.ask("PUT", path, {"version": version, "digest": "c" * 64})
        assert set_to.body["shadow"] == version
        assert (await port.ask("DELETE", path)).body["shadow"] is None
    async with serving(table_of(route()), limits=EngineLimits(2, 16)) as port:
        full = await port.ask("PUT", path, {"version": version, "digest": "c" * 64})
        assert (full.status, full.error["param"]) == (400, "version")
        assert "max_loras is 2" in full.error["message"]


@pytest.mark.parametrize("body", [b"", b"{", {"version": 3}, {"versoin": "x"}, b"\xff"])
async def test_a_body_that_is_none_is_refused(log: AdminLog, body: Any) -> None:
    async with serving(table_of(route())) as port:
        answer = await port.ask("PUT", "/v1/aliases/support/shadow", body)
        assert (answer.status, answer.error["param"]) == (400, "body")


async def test_an_unknown_alias_and_an_unknown_path_are_reported(log: AdminLog) -> None:
    async with serving(table_of(route())) as port:
        answer = await port.ask("POST", "/v1/aliases/unknown/pause")
        assert (answer.status, answer.error["code"]) == (404, "unknown_alias")
        assert "known: support" in answer.error["message"]
        assert (await port.ask("GET", "/v1/nothing")).error["message"].startswith("GET /v1/nothing")
        assert (await port.ask("GET", "/v1/pause")).status == 405


async def test_a_log_that_is_away_is_to_be_tried_again(log: AdminLog) -> None:
    log.problem = KafkaTimeoutError("no broker")
    async with serving(table_of(route())) as port:
        answer = await port.ask("POST", "/v1/pause")
        assert (answer.status, answer.error["code"]) == (503, "log_away")
        assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.slow
async def test_no_broker_is_reported_within_seconds() -> None:
    unreachable = KafkaSettings(f"127.0.0.1:{ports.free(1)[0]}")
    async with serving(table_of(route()), unreachable) as port:
        assert (await port.ask("POST", "/v1/pause")).error["code"] == "log_away"


async def test_a_real_log_has_the_change_and_who_made_it(kafka: KafkaSettings) -> None:
    alias = "admin-test"
    appender = Appender(kafka, "test")
    appender.append(ROUTES, route(alias, cause=uuid7()), id="first", time_ms=1)
    appender.close()
    async with serving(table_of(route(alias)), kafka) as port:
        assert (await port.ask("POST", f"/v1/aliases/{alias}/pause")).body["paused"] is True
        rolled = (await port.ask("POST", f"/v1/aliases/{alias}/rollback")).body
    assert (rolled["champion"], rolled["paused"], rolled["generation"]) == (route(alias).previous, True, 3)
    decisions = [each for each in ledger.read(kafka) if each.alias == alias]
    assert [(each.inputs["by"], each.inputs["action"]) for each in decisions] == [
        ("admin/ann", "pause"),
        ("admin/ann", "rollback"),
    ]


async def test_a_key_is_revoked_by_its_name_by_whom_may(empty_kafka: KafkaSettings) -> None:
    app = Key.of("app of acme", "app")
    async with serving(table_of(route()), empty_kafka, keys=KeyRing([*KEYS, app])) as port:
        assert (await port.ask("POST", "/v1/keys/nobody/revoke")).error["code"] == "unknown_key"
        assert (await port.ask("POST", "/v1/keys/app%20of%20acme/revoke", key="app")).status == 403
        assert (await port.ask("POST", "/v1/keys/app%20of%20acme/revoke")).body == {"revoked": ["app of acme"]}
    (record,) = read(empty_kafka, REVOCATIONS, KeyRevoked)
    assert (record.event.sha256, record.event.by) == (app.sha256, "admin/ann")


async def test_a_person_signs_for_a_candidate(log: AdminLog) -> None:
    digest = "b" * 64
    candidate = version_name("support", digest)
    passed = RetrainReported(
        request_id="r",
        alias="support",
        status=RetrainStatus.PROMOTE,
        time_ms=1,
        by="t",
        candidate=candidate,
        digest=digest,
    )
    log.put(RESULTS, passed)
    async with serving(table_of(route())) as port:
        other = await port.ask("POST", "/v1/aliases/support/approve", {"version": candidate}, key="bob")
        done = await port.ask("POST", "/v1/aliases/support/approve", {"version": candidate})
        again = await port.ask("POST", "/v1/aliases/support/approve", {"version": candidate})
        strange = await port.ask("POST", "/v1/aliases/support/approve", {"version": "support-000000000000"})
        bare = await port.ask("POST", "/v1/aliases/support/refuse", {"version": candidate})
    assert (done.status, again.status, strange.status, bare.status) == (200, 200, 404, 400)
    assert done.body["id"] == again.body["id"], "one signature"
    assert done.body["inputs"] == {"action": "approve", "by": "ann", "version": candidate}
    assert f"expected one of: {candidate}" in strange.error["message"]
    assert "reason is empty" in bare.error["message"]
    assert (other.status, other.error["code"]) == (403, "missing_scope")


async def test_the_person_is_in_the_ledger_and_the_audit_log_by_key_and_by_token(log: AdminLog, tmp_path: Path) -> None:
    laptop = replace(Key.of("laptop", "hs_ann", ["admin"]), user="ann")
    log.put(ROUTES, route("billing"))
    with Issuer() as issuer:
        keys = IssuerKeys(issuer.settings())
        keys.read()
        ring = KeyRing([laptop, Key.of("bob", "bob", ["infer"])], tokens=Tokens(issuer.settings(), keys))
        table, path = table_of(route()), tmp_path / "audit.jsonl"
        async with serving(table, keys=ring, audit=AuditLog(str(path), "gateway")) as port:
            for bearer in ("hs_ann", issuer.token()):
                assert (await port.ask("POST", "/v1/aliases/support/pause", key=bearer)).status == 200
                assert (await port.ask("POST", "/v1/aliases/support/resume", key=bearer)).status == 200
            assert (await port.ask("POST", "/v1/pause", key="bob")).status == 403
            assert (await port.ask("POST", "/v1/pause", key=issuer.token(groups=["interns"]))).status == 403
            assert (await port.ask("POST", "/v1/pause", key=issuer.token(exp=1.0))).status == 401
            assert (await port.ask("POST", "/v1/aliases/none/pause", key="hs_ann")).status == 404
            assert (await port.ask("GET", "/healthz", key=None)).status == 200
    assert [each.inputs["by"] for each in log.decisions] == ["admin/ann"] * 4
    lines = [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
    assert [(each["who"], each["by"], each.get("alias", ""), each["outcome"]) for each in lines] == [
        *[("ann", by, "support", "done") for by in ("key", "key", "token", "token")],
        ("bob", "nothing", "", "refused"),
        ("ann", "nothing", "", "refused"),
        ("", "nothing", "", "refused"),
        ("ann", "key", "none", "failed"),
    ]


async def test_a_person_with_a_key_and_a_token_signs_once(log: AdminLog) -> None:
    laptop, digest = replace(Key.of("laptop", "hs_ann", ["approve"]), user="ann"), "b" * 64
    candidate = version_name("support", digest)
    promote = RetrainStatus.PROMOTE
    report: dict[str, Any] = {"request_id": "r", "alias": "support", "status": promote, "time_ms": 1, "by": "t"}
    log.put(RESULTS, RetrainReported(**report, candidate=candidate, digest=digest))
    signatures = Signatures()
    with Issuer() as issuer:
        keys = IssuerKeys(issuer.settings())
        keys.read()
        ring = KeyRing([laptop], tokens=Tokens(issuer.settings(), keys))
        async with serving(table_of(route()), keys=ring) as port:
            for bearer in ("hs_ann", issuer.token(), issuer.token(sub="Ann"), issuer.token(sub="bob")):
                done = await port.ask("POST", "/v1/aliases/support/approve", {"version": candidate}, key=bearer)
                assert done.status == 200
                signatures.take(log.decisions[-1])
                people = [each.by for each in signatures.of("r", digest)]
                needed = NeededApproval(people=2, until_ms=2**60)
                state = settled(needed, signatures.of("r", digest), 0).state
                assert (people, state) == ((["ann"], "waiting") if people == ["ann"] else (["ann", "bob"], "approved"))
    assert people == ["ann", "bob"]


async def test_a_key_of_some_aliases_acts_on_no_other_and_on_all_at_once_neither(log: AdminLog) -> None:
    billing = replace(Key.of("team", "team", ["admin", "review"]), aliases=("billing",))
    log.put(ROUTES, route("billing"))
    async with serving(table_of(route(), route("billing")), keys=KeyRing([billing])) as port:
        mine = await port.ask("GET", "/v1/routes", key="team")
        assert [each["alias"] for each in mine.body["routes"]] == ["billing"]
        assert (await port.ask("POST", "/v1/aliases/billing/pause", key="team")).status == 200
        for path in ("/v1/aliases/support/pause", "/v1/pause"):
            refused = await port.ask("POST", path, key="team")
            assert (refused.status, refused.error["code"]) == (403, "alias_not_allowed")
            assert "the API key team is for billing" in refused.error["message"]
    assert [each.alias for each in log.decisions] == ["billing"]
