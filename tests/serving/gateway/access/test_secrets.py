"""Secrets and odd bytes: a bad secret is not taken, clients' texts are their owner's alone, no character is a 500."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.config import secrets
from deploy.config.settings import Config, load
from deploy.config.toml import dump
from deploy.roles.gateway import certificate_of
from deploy.roles.health import answering
from deploy.stack import ports, processes
from deploy.stack.settings import StackSettings
from serving.gateway.access.keys import Key, KeyRing, KeysError
from serving.gateway.admin.port import serving_admin
from serving.gateway.recent_answers import RecentAnswer, RecentAnswers
from serving.routes.follower import Follower
from serving.routes.routing import RouteTable
from serving.settings import GatewaySettings
from streams.files import private_folder, put
from streams.journal import status
from streams.journal.cursor import CursorFile
from streams.journal.writer import Journal, JournalSettings
from streams.lake.delta import created
from streams.log.settings import KafkaSettings
from streams.topics import INFERENCE
from tests.serving.support.certificates import Certificates
from tests.serving.support.scene import BODY, Scene
from tests.serving.support.wire import asking, wired

GOOD = "a" * 43
ENTRY = '[app]\nsha256 = "' + "a" * 64 + '"\n'


@pytest.fixture(autouse=True)
def usual_umask() -> Any:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.parametrize("name", ["signing.key", "api.key"])
@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (b"", 0o600, "has 0 characters"),
        (b"\n", 0o600, "has 0 characters"),
        (GOOD[:-1].encode(), 0o600, "has 42 characters"),
        (b"two words " + GOOD.encode(), 0o600, "more than one word"),
        (GOOD.encode() + b"\n" + GOOD.encode(), 0o600, "more than one word"),
        (b"\xff" * 60, 0o600, "something else"),
        (b"\0" * 60, 0o600, "more than one word"),
        (b"0" * 64, 0o600, "has 1 different characters"),
        (b"changeme-" * 5, 0o600, "has 8 different characters"),
        (GOOD.encode(), 0o644, "lies open to everybody (mode 0644)"),
        (GOOD.encode(), 0o602, "lies open to everybody (mode 0602)"),
    ],
)
def test_a_bad_secret_is_not_taken(name: str, content: bytes, mode: int, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "homeostat.toml"
    path.write_text(dump({"stack": {"var": str(tmp_path / "var")}}))
    config = load(path, {})
    file = tmp_path / "var" / "secrets" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(secrets.SecretError) as refused:
        secrets.signer(config) if name == "signing.key" else secrets.api_key(config)
    assert expected in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_secret_is_made_whole_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "signing.key"
    made = secrets.secret(path)
    assert (secrets.secret(path), len(made), mode(path), mode(path.parent)) == (made, 43, 0o600, 0o700)
    assert [each.name for each in path.parent.iterdir()] == ["signing.key"]


def test_a_keys_file_without_a_key_or_open_to_writers_changes_nothing(tmp_path: Path) -> None:
    path, now = tmp_path / "keys.toml", 0.0
    path.write_text(ENTRY)
    ring = KeyRing([], path, lambda: now)
    known = dict(ring._known)
    for content, opened in (("", 0o644), ("# cut off", 0o644), (ENTRY.replace("app", "thief"), 0o666)):
        path.write_text(content)
        path.chmod(opened)
        now += 2
        ring._reload_if_changed()
        assert ring._known == known
        with pytest.raises(KeysError):
            KeyRing([], path)
        path.chmod(0o644)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_holds_texts_or_routes_is_its_owners_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "spool", JournalSettings(), "test")
    journal._open()
    journal.close()
    CursorFile(tmp_path / "spool").close()
    nothing = status.ShipperStatus(time_ms=0, connected=True, lag_bytes=0, published={}, dropped={}, damaged_bytes=0)
    status.write(tmp_path / "spool", nothing)
    (tmp_path / "lake").mkdir(mode=0o755)
    created(str(tmp_path / "lake"), {}, INFERENCE)
    follower = Follower(KafkaSettings(), tmp_path / "routes" / "gateway.json")
    follower._dirty = True
    follower._save()
    put(tmp_path / "reports" / "page.html", b"what they wrote")
    found = {each.relative_to(tmp_path): mode(each) for each in tmp_path.rglob("*")}
    assert not found[Path("lake")] & stat.S_IRWXO  # within it, as the process's umask has it
    assert {name for name, bits in found.items() if bits & 0o077 and name.parts[0] != "lake"} == set()
    assert len(found) >= 8


def test_a_folder_that_was_open_to_everybody_is_closed(tmp_path: Path) -> None:
    old = tmp_path / "spool"
    old.mkdir(mode=0o755)
    Journal(old, JournalSettings(), "test").close()
    assert mode(old) == 0o750
    assert mode(private_folder(tmp_path / "new")) == 0o700


@pytest.mark.parametrize("odd", ["ß", "é", "日本", "\\ud800", "\\u0000", "٣", "ﬁ"])
async def test_no_letter_of_a_client_is_a_servers_error(odd: str) -> None:
    async with Scene().running() as scene:
        about = (await scene.post()).headers["x-homeostat-request-id"]
        head, _, mac = about.rpartition(".")
        for forged in (f"{head}.{odd}", f"{head}.{mac[:-1]}{odd}", f"{odd}{about}", about.replace("champion", odd)):
            reply = await scene.post("/v1/feedback", ('{"request_id":"' + forged + '","thumb":true}').encode())
            assert reply.status == 400, forged
        texts = ("user", "model", "stream", "n", "max_tokens", "echo", odd)
        for name in texts:
            body = b"{" + f'"{name}":"{odd}",'.encode() + b'"messages":[{"role":"' + odd.encode() + b'","content":""}]}'
            assert (await scene.post(body=body)).status in (200, 400, 404)


@pytest.mark.parametrize("odd", [b"\xc3\x9f", b"\xff", b"\x80\x81", "日本".encode()])
async def test_no_byte_of_a_header_or_path_is_a_servers_error(odd: bytes) -> None:
    names: tuple[str, ...] = (
        "authorization: Bearer ",
        "x-session-id: ",
        "x-homeostat-tenant: ",
        "x-homeostat-timeout-ms: ",
    )
    names += ("traceparent: ", "content-type: ", "x-odd: ")
    async with Scene().running() as scene:
        for name in names:
            key = None if name.startswith("auth") else "secret"
            asked = asking(
                "/v1/chat/completions", b'{"model":"support","messages":[{"role":"u"}]}', f"{name}@", key=key
            )
            async with wired(scene.port) as wire:
                wire.send(asked.replace(name.encode() + b"@", name.encode() + odd))
                assert (await wire.answer()).status < 500, name


@pytest.fixture
async def admin() -> AsyncIterator[int]:
    (port,) = ports.free(1)
    ring = KeyRing([Key.of("ops", "secret", ["admin"])])
    async with serving_admin("127.0.0.1", port, RouteTable, ring, KafkaSettings("127.0.0.1:1")):
        yield port


@pytest.mark.parametrize("odd", [b"\xc3\x9f", b"\xff", b"\x80"])
async def test_no_byte_is_the_admin_ports_error_either(admin: int, odd: bytes) -> None:
    quoted = b"".join(b"%%%02x" % byte for byte in odd)
    for line, key in (
        (b"GET /v1/routes", b"sec" + odd),
        (b"GET /v1/" + quoted, b"secret"),
        (b"GET /v1/aliases/" + quoted + b"/nothing", b"secret"),
        (b"PUT /v1/aliases/" + quoted + b"/shadow", b"secret"),
    ):
        async with wired(admin) as wire:
            head = line + b" HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ncontent-length: 0\r\n\r\n"
            wire.send(head)
            assert (await wire.answer()).status < 500, line


def test_a_roles_metrics_are_served_to_this_machine_only(tmp_path: Path) -> None:
    (port,) = ports.free(1)
    with answering(Config(StackSettings(var=tmp_path)), port, lambda: ""):
        assert ports.answers(port)
        assert listeners(port) == {"127.0.0.1"}


def listeners(port: int) -> set[str]:
    """The addresses of this machine at which a process listens on the port."""
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        address, state = line.split()[1], line.split()[3]
        if state == "0A" and int(address.partition(":")[2], 16) == port:
            found.add(socket.inet_ntoa(bytes.fromhex(address.partition(":")[0])[::-1]))
    return found


def test_answers_are_kept_within_a_bound_of_bytes() -> None:
    recent = RecentAnswers(10_000, 1_000_000)
    for i in range(200):
        recent.add(f"e{i}", RecentAnswer("x" * 100_000))
    assert sum(recent.get(f"e{i}") is not None for i in range(200)) == 9
    assert recent.get("e199") is not None
    recent.add("small", RecentAnswer("yes"))
    recent.add("huge", RecentAnswer("x" * 2_000_000))
    assert recent.get("huge") is None
    recent.add("after", RecentAnswer("yes"))
    assert recent.get("after") == RecentAnswer("yes")


async def test_the_gateway_passes_the_bound_on() -> None:
    async with Scene().running() as scene:
        assert scene.settings.recent_answers_bytes == 64 * 1_048_576
        assert (await scene.post(body=BODY)).status == 200


def test_a_certificates_key_that_lies_open_is_refused(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    settings = GatewaySettings(tls_cert=made.cert, tls_key=made.key)
    assert certificate_of(settings) is not None
    made.key.chmod(0o644)
    with pytest.raises(secrets.SecretError, match="chmod 600"):
        certificate_of(settings)


def test_what_a_process_of_the_stack_writes_is_its_owners_alone(tmp_path: Path) -> None:
    made = tmp_path / "made by it"
    command = (sys.executable, "-c", f"import time; open({str(made)!r}, 'w'); time.sleep(60)")
    child = processes.start(processes.Spec("writer", command, made.exists), tmp_path)
    try:
        processes.wait_ready(processes.Spec("writer", command, made.exists), child, tmp_path)
        log = processes.log_file(tmp_path, "writer")
        assert (mode(made), mode(log), mode(log.parent)) == (0o600, 0o600, 0o700)
    finally:
        processes.stop(child, tmp_path)
