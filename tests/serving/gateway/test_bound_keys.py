"""Keys that are bound: to aliases, which they alone may ask, and to tenants, of whom their requests are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving.gateway.access.audit import AuditLog
from serving.gateway.access.issuer_keys import IssuerKeys
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.access.tokens import Tokens
from streams.identity import Signer, TurnId
from tests.serving.support.issuer import Issuer
from tests.serving.support.scene import BODY, SIGNER, Scene

OLD_KEY, NEW_KEY, MASK = b"old" * 20, b"new" * 20, b"mask" * 20


@pytest.fixture
async def bound(tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene()
    scene.audit = AuditLog(str(tmp_path / "audit.jsonl"), "gateway")
    scene.keys += [
        replace(Key.of("sales-app", "sales", ["infer", "feedback"]), aliases=("sales", "billing")),
        replace(Key.of("both", "both", ["infer", "feedback"]), tenants=("acme", "umbrella")),
    ]
    async with scene.running():
        yield scene


async def test_a_key_asks_its_aliases_alone(bound: Scene) -> None:
    error = (await bound.post(key="sales")).error
    assert (error["type"], error["param"], error["code"]) == ("permission_error", "model", "alias_not_allowed")
    assert error["message"] == "the API key sales-app is for sales, billing and not for 'support'"
    unknown = await bound.post(body={**BODY, "model": "billing"}, key="sales")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found"), "its own, which is not there"
    assert bound.events == []


async def test_it_sees_and_labels_its_aliases_alone(bound: Scene) -> None:
    head = {"authorization": "Bearer sales"}
    async with bound.http.get(bound.url("/v1/models"), headers=head) as reply:
        assert (await reply.json())["data"] == []
    async with bound.http.get(bound.url("/v1/models/support"), headers=head) as reply:
        assert reply.status == 403
    signed = (await bound.post()).headers["x-homeostat-request-id"]
    label = {"request_id": signed, "label": "x"}
    assert (await bound.post("/v1/feedback", label, key="sales")).status == 403
    assert (await bound.post("/v1/feedback", label)).status == 202


@pytest.mark.parametrize(("named", "status"), [("acme", 200), ("umbrella", 200), ("initech", 403), (None, 403)])
async def test_a_key_of_several_tenants_sends_requests_of_one_of_them(
    bound: Scene, named: str | None, status: int
) -> None:
    headers = {} if named is None else {"x-homeostat-tenant": named}
    reply = await bound.post(key="both", headers=headers)
    assert reply.status == status
    if status == 403:
        said = repr(named) if named else "none"
        found = f"the API key both is for the tenants acme, umbrella, and x-homeostat-tenant names {said}"
        assert (reply.error["code"], reply.error["message"]) == ("tenant_not_allowed", found)
        assert bound.events == []
    else:
        (event,) = await bound.served()
        assert event.tags["tenant"] == named
        assert event.tenant == SIGNER.pseudonym(f"tenant {named}")


async def test_who_is_refused_is_in_the_audit_log(bound: Scene, tmp_path: Path) -> None:
    await bound.post()
    await bound.post(key="sales")
    await bound.post(key="unknown")
    await bound.post("/v1/feedback", {"request_id": "x", "label": "x"}, key="only-infer")
    await bound.post(key="both")
    written = [msgspec.json.decode(line) for line in (tmp_path / "audit.jsonl").read_bytes().splitlines()]
    shown = [(each["who"], each["by"], each["status"], each["code"]) for each in written]
    assert shown == [
        ("sales-app", "key", 403, "alias_not_allowed"),
        ("", "nothing", 401, "invalid_api_key"),
        ("reader", "nothing", 403, "missing_scope"),
        ("both", "key", 403, "tenant_not_allowed"),
    ]
    assert {each["what"] for each in written} == {"POST /v1/chat/completions", "POST /v1/feedback"}
    assert {(each["from"], each["outcome"]) for each in written} == {("127.0.0.1", "refused")}
    assert "unknown" not in str(written), "a key that is none may be a typing error of one that is"


async def test_a_person_asks_by_a_token_and_no_event_has_their_name() -> None:
    with Issuer() as issuer:
        settings = issuer.settings(groups={"support": ("infer", "feedback")})
        keys = IssuerKeys(settings)
        keys.read()
        scene = Scene()
        scene.ring = KeyRing(tokens=Tokens(settings, keys))
        token = issuer.token(sub="ann@example.com", groups=["support"], azp="console")
        async with scene.running():
            reply = await scene.post(key=token)
            signed = reply.headers["x-homeostat-request-id"]
            assert (await scene.post("/v1/feedback", {"request_id": signed, "thumb": True}, key=token)).status == 202
            (event,), (label,) = await scene.served(), await scene.feedback()
            none = await scene.post(key=issuer.token(sub="bob", groups=["interns"]))
    user = SIGNER.pseudonym("ann@example.com")
    assert (event.client, event.user, label.by) == (f"oidc:console/{user}", user, "oidc:console")
    assert b"ann@example.com" not in b"".join(map(msgspec.json.encode, scene.events))
    assert (none.status, none.error["code"]) == (403, "no_scope")


async def asked(scene: Scene, **more: Any) -> tuple[str, str]:
    """A request's id, and the pseudonym of its user."""
    reply = await scene.post(body={**BODY, "user": "ann", **more})
    return reply.headers["x-homeostat-request-id"], scene.events[-1].user  # type: ignore[attr-defined]


async def test_signing_keys_change_one_after_the_other_and_nothing_else_does() -> None:
    """Each step is a restart of the gateways: the new key is known, signs, and then the old one is gone."""
    before, known, signs, after = (
        Signer(OLD_KEY, private=MASK),
        Signer(OLD_KEY, older=(NEW_KEY,), private=MASK),
        Signer(NEW_KEY, older=(OLD_KEY,), private=MASK),
        Signer(NEW_KEY, private=MASK),
    )
    ids, users, taken = list[str](), set[str](), list[list[tuple[int, object]]]()
    for signer in (before, known, signs, after):
        scene = Scene()
        scene.signer = signer
        async with scene.running():
            request_id, user = await asked(scene)
            ids.append(request_id)
            users.add(user)
            replies = [await scene.post("/v1/feedback", {"request_id": each, "label": "Card arrival."}) for each in ids]
            taken.append([(each.status, each.body.get("correct")) for each in replies])
    good, refused = (202, True), (400, None)
    assert taken == [[good], [good] * 2, [good] * 3, [refused, refused, good, good]]
    assert len(users) == 1, "pseudonyms stay"
    turn = before.sign_turn(TurnId("resp", "c", "d"))
    assert (signs.read_turn(turn), after.read_turn(turn)) == (TurnId("resp", "c", "d"), None)
    assert before.tenant_key("t") == after.tenant_key("t")
