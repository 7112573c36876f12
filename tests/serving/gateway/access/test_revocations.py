"""Revoked keys: at every process that follows the log, whatever their files say, and also where a start finds no
Kafka."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from serving.gateway.access.keys import Key, KeyRing
from serving.gateway.access.revocations import Revocations, revoke, revoked
from serving.gateway.errors import ApiError
from streams.log.settings import KafkaSettings
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


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'[{"sha256": 1}]'])
def test_a_damaged_file_of_those_known_last_stops_no_start(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "g.json"
    file.write_bytes(content)
    assert Key.of("app", "s").sha256 not in Revocations(AWAY, file)


def test_a_name_that_no_key_has_is_reported_with_those_that_there_are() -> None:
    with pytest.raises(LookupError, match=r"no API key is called 'apt' .* but app, other"):
        KeyRing([Key.of("other", "o"), Key.of("app", "s")]).named("apt")
