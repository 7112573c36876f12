"""The admin API over real HTTP, with real processes: who may, what comes back, and what ends a command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from deploy.admin import application
from deploy.admin.application import AdminApi
from deploy.admin.table import REMOTE
from deploy.cli import main
from deploy.config.admin_settings import AdminSettings
from deploy.stack import ports
from serving.gateway.access.audit import AuditLog
from serving.gateway.access.issuer_keys import IssuerKeys
from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.access.tokens import Tokens
from serving.gateway.admin.errors import runner
from tests.serving.support.issuer import Issuer
from tests.support.waiting import until

KEYS = KeyRing(
    [
        Key.of("ann", "ann", ["admin"]),
        Key.of("bob", "bob", ["read"]),
        Key.of("eve", "eve", ["infer"]),
        Key("sue", Key.of("sue", "sue").sha256, frozenset({"admin"}), aliases=("support",)),
        Key("old", Key.of("old", "old").sha256, frozenset({"admin"}), revoked=True),
    ]
)
ECHO = "import os,sys;print(sys.argv[1:]);print(os.environ['HOMEOSTAT_BY'],file=sys.stderr);raise SystemExit(3)"
COPY = (
    "import sys;path=next(a for a in sys.argv if a.endswith('labels.jsonl'));text=open(path).read();"
    "print(path,len(text))"
)
LEDGER = "import sys;open(sys.argv[-1],'w').write('x'*500_000);print('in',sys.argv[-1])"
SLOW = "import sys,time;print('begun',flush=True);time.sleep(60)"
STUBBORN = "import signal,time;signal.signal(signal.SIGTERM,signal.SIG_IGN);print('begun',flush=True);time.sleep(60)"


class AdminPort:
    def __init__(self, url: str, http: aiohttp.ClientSession, audit: Path) -> None:
        self.url, self.http, self.audit = url, http, audit

    def post(self, name: str, body: Any = None, key: str | None = "ann", **more: Any) -> Any:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        data = json.dumps(body or {}) if not isinstance(body, aiohttp.FormData | bytes) else body
        return self.http.post(f"{self.url}/v1/commands/{name}", data=data, headers=headers, **more)

    async def run(self, name: str, body: Any = None, key: str = "ann") -> list[dict[str, Any]]:
        async with self.post(name, body, key) as reply:
            assert reply.status == 200, await reply.text()
            return [json.loads(line) async for line in reply.content]

    async def refused(self, name: str, body: Any = None, key: str | None = "ann") -> tuple[int, str]:
        async with self.post(name, body, key) as reply:
            return reply.status, json.loads(await reply.text())["error"]["message"]

    async def raw(self, sent: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.url.rpartition(":")[2]))
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(1_000), 60)
        writer.close()
        return answer

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@asynccontextmanager
async def serving(
    folder: Path, code: str = ECHO, *, callers: KeyRing = KEYS, **settings: Any
) -> AsyncIterator[AdminPort]:
    audit = AuditLog(str(folder / "audit.jsonl"), "admin")
    program = (sys.executable, "-c", code)
    api = AdminApi(main, callers, AdminSettings(**settings), audit, Path("/etc/homeostat.toml"), program=program)
    served = runner(api.application(), handler_cancellation=True)
    await served.setup()
    port = ports.free(1)[0]
    await web.TCPSite(served, "127.0.0.1", port).start()
    try:
        async with aiohttp.ClientSession() as http:
            yield AdminPort(f"http://127.0.0.1:{port}", http, folder / "audit.jsonl")
    finally:
        await served.cleanup()


def form(call: dict[str, Any], **files: bytes) -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field("call", json.dumps(call))
    for name, data in files.items():
        made.add_field(name, data, filename="labels.jsonl")
    return made


async def test_a_command_is_the_same_command_with_the_callers_name_and_its_status_comes_last(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        came = await admin.run("pause", {"parameters": {"alias": "support"}})
        assert came[-1] == {"exit": 3}
        assert "".join(each.get("err", "") for each in came) == "ann\n"
        shown = "".join(each.get("out", "") for each in came)
        assert shown == "['pause', '--config=/etc/homeostat.toml', '--', 'support']\n"
        (line,) = admin.lines()
    assert (line["who"], line["what"], line["alias"]) == ("ann", "homeostat pause", "support")
    assert (line["outcome"], line["reason"]) == ("failed", "exit 3")


async def test_who_may_what(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        for key, name, body, status, why in (
            (None, "pause", {}, 401, "no API key"),
            ("nobody", "pause", {}, 401, "not known"),
            ("old", "pause", {}, 401, "revoked"),
            ("bob", "pause", {}, 403, "bob lacks the scope admin"),
            ("ann", "review/approve", {"parameters": {"version": "a-0123456789ab"}}, 403, "lacks the scope approve"),
            ("sue", "pause", {}, 403, "sue is for support, and pause would be about every alias"),
            ("sue", "pause", {"parameters": {"alias": "billing"}}, 403, "not for 'billing'"),
            ("eve", "up", {}, 403, "eve lacks the scope read"),
            ("bob", "up", {}, 404, "up is not taken from elsewhere: it starts processes"),
            ("bob", "../../etc", {}, 404, ""),
        ):
            found, message = await admin.refused(name, body, key)
            assert (found, why in message) == (status, True), (name, message)
        assert {each["outcome"] for each in admin.lines() if each["status"] in (401, 403)} == {"refused"}
        assert (await admin.run("topics/list", key="bob"))[-1] == {"exit": 3}
        assert (await admin.run("pause", {"parameters": {"alias": "support"}}, "sue"))[-1] == {"exit": 3}


async def test_a_person_comes_by_a_token_as_long_as_it_is_good(tmp_path: Path) -> None:
    with Issuer() as issuer:
        keys = IssuerKeys(issuer.settings())
        keys.start()
        keys.wait(10)
        ring = KeyRing(tokens=Tokens(issuer.settings(), keys))
        async with serving(tmp_path, callers=ring) as admin:
            came = await admin.run("storage/care", key=issuer.token())
            assert "".join(each.get("err", "") for each in came) == "ann\n"
            status, message = await admin.refused("storage/care", key=issuer.token(exp=1))
            assert (status, "expired" in message) == (401, True)
            status, message = await admin.refused("storage/care", key=issuer.token(groups=["guests"]))
            assert (status, "guests" in message) == (403, True)
        keys.close()


async def test_the_commands_are_listed_with_what_they_take(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        headers = {"authorization": "Bearer bob"}
        async with admin.http.get(f"{admin.url}/v1/commands", headers=headers) as reply:
            found = {each["name"]: each for each in (await reply.json())["commands"]}
        async with admin.http.get(f"{admin.url}/v1/commands") as reply:
            assert reply.status == 401
    assert found.keys() == REMOTE.keys()
    assert found["labels give"]["path"] == "/v1/commands/labels/give"
    assert found["labels give"]["parameters"][1] == {"name": "file", "type": "file", "required": True}
    assert "config_path" not in str(found)


async def test_a_file_that_is_sent_is_the_commands_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with serving(tmp_path, COPY) as admin:
        body = form({"parameters": {"alias": "support", "file": "/home/ann/labels.jsonl"}}, file=b"x" * 300_000)
        came = await admin.run("labels/give", body)
        assert came == [{"out": "/home/ann/labels.jsonl 300000\n"}, {"exit": 0}]
        body = form({"parameters": {"alias": "support", "file": "a"}}, rows=b"x")
        assert (await admin.refused("labels/give", body))[0] == 400
        assert "file is missing" in (await admin.refused("labels/give", {"parameters": {"alias": "a", "file": "b"}}))[1]


async def test_a_file_that_comes_back_comes_in_pieces(tmp_path: Path) -> None:
    async with serving(tmp_path, LEDGER) as admin:
        came = await admin.run("ledger", {"parameters": {"file": "/home/ann/ledger.jsonl"}})
    pieces = [each for each in came if "file" in each]
    assert came[0] == {"out": "in /home/ann/ledger.jsonl\n"}
    assert len(pieces) == 3
    assert {each["file"] for each in pieces} == {"file"}
    assert came[-1] == {"exit": 0}


async def test_more_than_is_taken_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, upload_bytes=100_000) as admin:
        call = {"parameters": {"alias": "support", "file": "a"}}
        status, message = await admin.refused("labels/give", form(call, file=b"x" * 100_001))
        assert (status, "admin.upload_bytes" in message) == (413, True)
        huge = json.dumps({"parameters": {"alias": "x" * 2_000_000}}).encode()
        assert (await admin.refused("pause", huge))[0] == 413
        assert (await admin.refused("pause", form({"parameters": {"alias": "x" * 2_000_000}})))[0] == 413
        assert (await admin.refused("pause", b"\xff\xfe"))[0] == 400


@pytest.mark.slow
async def test_a_quick_command_has_a_place_where_long_ones_have_taken_theirs(tmp_path: Path) -> None:
    async with serving(tmp_path, SLOW, at_once=1) as admin, admin.post("storage/care") as held:
        assert json.loads(await held.content.readline()) == {"out": "begun\n"}
        status, message = await admin.refused("storage/care")
        assert (status, "admin.at_once" in message) == (429, True)
        async with admin.post("pause") as quick:
            assert json.loads(await quick.content.readline()) == {"out": "begun\n"}


@pytest.mark.slow
async def test_a_command_ends_with_its_time(tmp_path: Path) -> None:
    async with serving(tmp_path, SLOW, timeout_s=0.5) as admin:
        came = await admin.run("storage/care")
    assert "ended after 0.5 s (admin.timeout_s)" in came[-2]["err"]
    assert came[-1] == {"exit": 124}


@pytest.mark.slow
@pytest.mark.parametrize("code", [SLOW, STUBBORN])
async def test_a_command_ends_when_its_caller_hangs_up(code: str, tmp_path: Path) -> None:
    code = code.replace("print('begun'", "import os;print(os.getpid()")
    async with serving(tmp_path, code) as admin:
        async with admin.post("storage/care") as reply:
            pid = int(json.loads(await reply.content.readline())["out"])
        await until(lambda: not _runs(pid), what="the end of the command")
        await until(admin.audit.exists, what="the line in the audit log")
        assert admin.lines()[-1]["reason"] == "the caller hung up"


FLOOD = "import os,time;print('x'*40_000_000,flush=True);time.sleep(60)"


@pytest.mark.slow
async def test_who_does_not_read_what_comes_keeps_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "READ_ON_S", 0.3)
    async with serving(tmp_path, FLOOD, at_once=1, timeout_s=3.0) as admin, admin.post("storage/care") as held:
        assert held.status == 200
        await until(lambda: admin.audit.exists() and len(admin.lines()) == 1, what="the end of the command")
        assert admin.lines()[0]["reason"] == "the caller did not take what came"
        async with admin.post("storage/care") as other:
            assert other.status == 200


@pytest.mark.slow
async def test_who_sends_half_a_pause_keeps_no_place_of_those_for_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "CALL_S", 0.3)
    half = b"POST /v1/commands/pause HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ann\r\ncontent-length: 9\r\n\r\n{"
    async with serving(tmp_path, at_once=1) as admin:
        assert (await admin.raw(half)).startswith(b"HTTP/1.1 408 ")
        assert (await admin.run("pause"))[-1] == {"exit": 3}


SECRET = "hs_SECRETSECRETSECRET"
HEAD = f"POST /v1/commands/pause HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {SECRET}".encode()


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"\x01\r\n\r\n",
        HEAD.replace(b"\r\n", b"\n") + b"\n\n",
        HEAD + b"\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        HEAD + b"\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"a" * 20_000 + b"\r\n\r\n",
        HEAD.replace(SECRET.encode(), b"ann") + b"\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        HEAD.replace(SECRET.encode(), b"ann") + b"\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
async def test_nothing_malformed_gets_a_500_or_leaves_a_secret(
    sent: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path) as admin:
        assert (await admin.raw(sent)).split(b" ")[1] in (b"400", b"401")
        written = admin.audit.read_text() if admin.audit.exists() else ""
    assert SECRET not in written + caplog.text + "".join(capfd.readouterr())
    assert written.count("\n") <= 1


async def test_a_token_of_many_groups_is_as_long_as_at_the_gateway(tmp_path: Path) -> None:
    async with serving(tmp_path) as admin:
        assert await admin.refused("pause", key="x" * 15_000) == (401, "the API key is not known")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
