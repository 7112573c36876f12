"""Revoked keys: at every process that follows the log, whatever their files say, and also where a start finds no
Kafka."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path

import pytest

from serving.gateway.access.keys import Key, KeyRing, entry
from serving.gateway.access.revocations import Revocations, revoke, revoked
from serving.gateway.errors import ApiError
from streams.log.settings import KafkaSettings
from tests.serving.support.scene import BODY, Scene
from tests.support.waiting import wait

AWAY = KafkaSettings("127.0.0.1:1")


def started(kafka: KafkaSettings, file: Path) -> Revocations:
    made = Revocations(kafka, file)
    made.start()
    return made


def test_a_revoked_key_stops_everywhere_and_stays_so_over_restarts(empty_kafka: KafkaSettings, tmp_path: Path) -> None:
    app, other = Key.of("app", "s"), Key.of("other", "o")
    with (
        closing(started(empty_kafka, tmp_path / "one" / "g.json")) as one,
        closing(started(empty_kafka, tmp_path / "two" / "g.json")) as two,
    ):
        rings = [KeyRing([app, other], revoked=each) for each in (one, two)]
        assert one.wait(90)
        assert [ring.authorise("Bearer s", "infer").id for ring in rings] == ["app", "app"]
        revoke(empty_kafka, rings[0].named("app"), "admin/ann")
        wait(lambda: app.sha256 in one and app.sha256 in two, what="the revocation at both")
        for ring in rings:
            with pytest.raises(ApiError) as error:
                ring.authorise("Bearer s", "infer")
            assert (error.value.status, error.value.code, error.value.by) == (401, "revoked_api_key", "app")
            assert ring.authorise("Bearer o", "infer").id == "other"
    assert revoked(empty_kafka) == {app.sha256}
    with closing(started(empty_kafka, tmp_path / "empty disk" / "g.json")) as late:
        assert late.wait(90)
        assert app.sha256 in late
    with closing(started(AWAY, tmp_path / "one" / "g.json")) as restarted:
        assert app.sha256 in restarted, "Kafka is away, and the disk has it"
        renewed = KeyRing([Key.of("app", "another secret")], revoked=restarted)
        assert renewed.authorise("Bearer another secret", "infer").id == "app"


@pytest.mark.parametrize("way", ["homeostat revoke", "revoked = true", "its entry is taken out"])
async def test_an_answer_under_way_is_given_whole_and_kept_and_the_next_request_is_refused(
    way: str, tmp_path: Path
) -> None:
    """Also on the connection that the answer came by."""
    file, told, now_s = tmp_path / "keys.toml", set[str](), itertools.count()
    app, other = entry(Key.of("app", "secret")), entry(Key.of("other", "another"))
    file.write_text(app + other)
    file.chmod(0o640)
    scene = Scene()
    scene.ring = KeyRing(path=file, clock=lambda: 2.0 * next(now_s), revoked=told)
    scene.mode("stall")
    async with scene.running():
        head = {"authorization": "Bearer secret"}
        asked = scene.http.post(scene.url("/v1/chat/completions"), json={**BODY, "stream": True}, headers=head)
        async with asked as reply:
            assert (await reply.content.readline()).startswith(b"data: ")
            match way:
                case "homeostat revoke":
                    told.add(Key.of("app", "secret").sha256)
                case "revoked = true":
                    file.write_text(app + "revoked = true\n" + other)
                case _:
                    file.write_text(other)
            refused = await scene.post()
            for engine in scene.engines:
                engine.hurry.set()
            rest = await reply.read()
        again = await scene.post()
        label = await scene.post("/v1/feedback", {"request_id": reply.headers["x-homeostat-request-id"], "label": "x"})
        assert (await scene.post(key="another")).status == 200
        assert rest.endswith(b"data: [DONE]\n\n")
        code = "invalid_api_key" if way == "its entry is taken out" else "revoked_api_key"
        assert [(each.status, each.error["code"]) for each in (refused, again, label)] == [(401, code)] * 3
        assert [(event.client, event.status) for event in await scene.served(2)] == [("app", 200), ("other", 200)]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'[{"sha256": 1}]'])
def test_a_damaged_file_of_those_known_last_stops_no_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "g.json"
    file.write_bytes(content)
    assert Key.of("app", "s").sha256 not in Revocations(AWAY, file)


def test_a_name_that_no_key_has_is_reported_with_those_that_there_are() -> None:
    with pytest.raises(LookupError, match=r"no API key is called 'apt' .* but app, other"):
        KeyRing([Key.of("other", "o"), Key.of("app", "s")]).named("apt")
