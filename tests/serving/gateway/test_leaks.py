"""What clients write of themselves never leaves the process: not in the journal, the log, the metrics or a letter."""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import prometheus_client
import pytest
import structlog

from streams.journal.writer import Journal, JournalSettings
from streams.log.dead_letters import letter, value
from streams.log.read import Raw
from streams.telemetry.logs import set_up_logs
from streams.topics import INFERENCE
from tests.serving.support import fake_engine
from tests.serving.support.scene import NEW, NEW_DIGEST, OLD, OLD_DIGEST, SIGNER, Scene

PRIVATE = {
    "email": "ann.lee@example.org",
    "iban": "BE68 5390 0754 7034",
    "card": "4111 1111 1111 1111",
    "phone": "+49 30 1234567",
    "secret": "sk-abcdefghijklmnop1234",
}
PARTS = ("ann.lee", "example.org", "1111 1111", "0754 7034", "30 1234567", "abcdefghijklmnop")
SAID = "I am {email}, card {card} 12/27, account {iban} please, call {phone}, key {secret}.".format(**PRIVATE)
KEY = "hunter2-hunter2"
MODES = ("", "error", "bad request", "no json", "lost", "break")
HEADERS = {
    "x-homeostat-tenant": PRIVATE["email"],
    "x-homeostat-language": f"de {PRIVATE['phone']}",
    "x-session-id": PRIVATE["email"],
    "x-homeostat-timeout-ms": PRIVATE["card"],
    "user-agent": PRIVATE["email"],
}


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that would be on stderr."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    logging.getLogger().addHandler(handler)
    set_up_logs()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(out), cache_logger_on_first_use=False)
    yield out
    structlog.reset_defaults()
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Its engines repeat what they were told."""
    monkeypatch.setattr(fake_engine, "WORDS", ["Hello ", *SAID.partition("card ")[:2], SAID.partition("card ")[2]])
    scene = Scene()
    journal = Journal(tmp_path / "journal", JournalSettings(), "gateway")
    scene.publish = journal.publish  # type: ignore[method-assign]
    scene.settings = replace(scene.settings, tries=2)
    return scene


def chat(**more: Any) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": SAID},
        {"role": PRIVATE["email"], "content": [{"type": "text", "text": SAID}, {"type": PRIVATE["email"]}]},
        {"role": "user", "content": SAID, "name": PRIVATE["email"]},
    ]
    told = {"user": PRIVATE["email"], "metadata": {"who": SAID}, "stop": [PRIVATE["email"]]}
    return {"model": "support", "messages": messages, **told, **more}


def refused() -> list[tuple[str, Any]]:
    """What is refused, with an error that may repeat the client's words to the client."""
    return [
        ("/v1/chat/completions", chat(model=PRIVATE["email"])),
        ("/v1/chat/completions", chat(stream=PRIVATE["email"])),
        ("/v1/chat/completions", chat(messages=SAID)),
        ("/v1/chat/completions", f'{{"model": "support", "messages": "{SAID}'.encode()),
        ("/v1/completions", {"model": "support", "prompt": {"said": SAID}}),
        (f"/v1/{PRIVATE['email']}", chat()),
        ("/v1/feedback", {"request_id": PRIVATE["email"], "label": SAID}),
        ("/v1/feedback", {"request_id": SAID, PRIVATE["email"]: SAID}),
    ]


def asked() -> list[tuple[str, Any]]:
    """What is served."""
    return [
        ("/v1/chat/completions", chat()),
        ("/v1/chat/completions", chat(stream=True)),
        ("/v1/completions", {"model": "support", "prompt": [SAID, "and"], "user": PRIVATE["email"]}),
        ("/v1/responses", {"model": "support", "input": SAID, "instructions": SAID}),
    ]


async def use(scene: Scene) -> None:
    """Every way in, with engines in every mood; feedback of every kind."""
    for mode in MODES:
        scene.mode(mode)
        for path, body in asked():
            try:
                reply = await scene.post(path, body, headers={**HEADERS, "x-homeostat-timeout-ms": "900"})
            except Exception:  # a stream that breaks off breaks the client's reading too
                continue
            request_id = reply.headers.get("x-homeostat-request-id")
            for words in ({"label": SAID}, {"correction": SAID}, {"thumb": SAID}, {"score": PRIVATE["card"]}):
                await scene.post("/v1/feedback", {"request_id": request_id, **words}, headers=HEADERS)
    scene.mode("")
    for path, body in refused():
        assert (await scene.post(path, body, headers=HEADERS)).status in (400, 404)
    await scene.post(body=chat(), key=PRIVATE["secret"])
    await scene.http.get(scene.url(f"/v1/models/{PRIVATE['email']}"), headers={"authorization": f"Bearer {KEY}"})


def leaks(text: str) -> list[str]:
    digests = [hashlib.sha256(said.encode()).hexdigest()[:12] for said in PRIVATE.values()]
    return [each for each in (*PRIVATE.values(), *PARTS, *digests, KEY) if each in text]


def written(folder: Path) -> str:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()).decode("latin-1")


async def test_nothing_private_leaves_the_process(scene: Scene, logged: io.StringIO, tmp_path: Path) -> None:
    async with scene.running():
        scene.attest(0, {OLD: OLD_DIGEST, NEW: NEW_DIGEST})
        scene.route(shadow=NEW)
        await use(scene)
    kept = written(tmp_path)
    assert leaks(kept) == []
    assert leaks(logged.getvalue()) == []
    assert leaks(prometheus_client.generate_latest().decode()) == []
    for sign in (
        "@mail.invalid",
        "card 9999 ",
        "BE00 ",
        "+00 0",
        "sk-0masked0",
        '"arm":"shadow"',
        '"correction":',
        '"label":',
    ):
        assert sign in kept
    assert "stream broken" in logged.getvalue()


async def test_a_defect_in_the_gateway_tells_no_words(scene: Scene, logged: io.StringIO) -> None:
    def defect(*_: object) -> bool:
        raise RuntimeError("a defect")

    scene.publish = defect  # type: ignore[method-assign, assignment]
    async with scene.running():
        assert (await scene.post(body=chat())).status == 200
    assert "exchange not captured" in logged.getvalue()
    assert leaks(logged.getvalue()) == []


def test_users_are_told_apart_and_cannot_be_guessed() -> None:
    names = {SIGNER.pseudonym(user) for user in PRIVATE.values()}
    assert len(names) == len(PRIVATE)
    assert leaks(" ".join(names)) == []


def test_the_reason_of_a_dead_letter_quotes_nothing_private() -> None:
    """Somebody else's event: ours hold nothing private to quote."""
    raw = Raw(0, 7, 1_000, b"key", SAID.encode())
    told = letter(INFERENCE, raw, f"alias is {PRIVATE['email']!r}, expected lower-case letters")
    assert told.reason == "alias is '[email]', expected lower-case letters"
    assert value(told) == SAID.encode()
