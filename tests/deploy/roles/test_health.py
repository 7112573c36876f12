"""A role's port for probes: alive, ready or what is lacking, metrics; two folders are never one process."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from deploy.config.settings import Config
from deploy.roles import health
from deploy.roles.process import lock_when_free, own_name
from deploy.stack import ports
from deploy.stack.settings import StackSettings
from serving.sidecar import engine_metrics
from streams.engine_access import EngineAccess
from streams.files import probed
from streams.identity import process_name
from streams.objects.settings import StorageSettings
from tests.support.waiting import wait


def asked(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_is_ready_once_nothing_is_lacking_and_says_what_is(tmp_path: Path) -> None:
    (port,), lacking = ports.free(1), ["Kafka does not answer"]
    look = health.first([lambda: lacking[0], lambda: ""])
    with health.answering(Config(StackSettings(var=tmp_path)), port, look):
        assert asked(port, "/readyz") == (503, "Kafka does not answer\n")
        assert asked(port, "/healthz")[0] == 200
        lacking[0] = ""
        assert asked(port, "/readyz") == (200, "ready\n")
        assert "homeostat_" in asked(port, "/metrics")[1]
    assert not ports.answers(port)


def test_an_engines_metrics_are_passed_on_with_its_key_and_its_absence_is_said(tmp_path: Path) -> None:
    """Prometheus reaches the side-car alone."""
    (port,), key = ports.free(1), tmp_path / "key"
    key.write_text("engine-key")

    class Engine(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/metrics" and self.headers["authorization"] == "Bearer engine-key"
            self.send_response(200 if known else 401)
            self.end_headers()
            self.wfile.write(b"vllm:num_requests_running 3.0\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Engine) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        access = EngineAccess(url=f"http://127.0.0.1:{engine.server_port}", key_file=key)
        pages = {engine_metrics.PATH: engine_metrics.engine_metrics(access)}
        with health.answering(Config(StackSettings(var=tmp_path)), port, lambda: "", pages):
            assert asked(port, "/engine/metrics") == (200, "vllm:num_requests_running 3.0\n")
            key.write_text("another")
            assert asked(port, "/engine/metrics")[0] == 503
            engine.shutdown()
            engine.server_close()
            assert asked(port, "/engine/metrics") == (503, "the engine's metrics: [Errno 111] Connection refused\n")
            assert asked(port, "/readyz")[0] == 200


def test_a_taken_port_names_itself_and_the_setting(tmp_path: Path) -> None:
    (port,), config = ports.free(1), Config(StackSettings(var=tmp_path))
    with (
        health.answering(config, port, lambda: ""),
        pytest.raises(OSError, match=rf"port {port} on stack.bind 127.0.0.1"),
        health.answering(config, port, lambda: ""),
    ):
        pass


def test_it_listens_where_the_operator_says(tmp_path: Path) -> None:
    (port,) = ports.free(1, "0.0.0.0")
    with health.answering(Config(StackSettings(var=tmp_path, bind="0.0.0.0")), port, lambda: ""):
        assert asked(port, "/healthz")[0] == 200


def test_a_store_that_is_away_is_named_and_one_that_answers_is_not(tmp_path: Path) -> None:
    away = Config(StackSettings(var=tmp_path), storage=StorageSettings(url="s3://no", options={"region": "x"}))
    with health.store_watched(Config(StackSettings(var=tmp_path))) as lacking:
        wait(lambda: lacking() == "", what="the folder")
    with health.store_watched(away) as lacking:
        assert lacking().startswith("storage")


def test_a_full_disk_is_lacking(tmp_path: Path) -> None:
    assert probed(tmp_path, 0) == ""
    assert "bytes free, expected" in probed(tmp_path, 1 << 60)
    assert "No such file" in probed(tmp_path / "nothing", 0)


def test_processes_are_called_after_their_pod_or_host_and_two_of_one_name_are_not_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAME", "trainer-0")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (own_name(Config(StackSettings(var=tmp_path / each)), "trainer") for each in "ab")
    assert first.partition("@")[0] == second.partition("@")[0] == process_name("trainer") == "trainer/trainer-0"
    assert first != second
    assert first == own_name(Config(StackSettings(var=tmp_path / "a")), "trainer")  # after a restart
    assert process_name("gateway", "gateway-1", {"POD_NAME": "pod"}) == "gateway/pod:gateway-1"


def test_a_second_process_of_one_folder_waits_for_the_first(tmp_path: Path) -> None:
    stop = threading.Event()
    first = lock_when_free(tmp_path / "lock", stop)
    assert first is not None
    found: list[object] = []
    second = threading.Thread(target=lambda: found.append(lock_when_free(tmp_path / "lock", stop)))
    second.start()
    second.join(0.2)
    assert found == []
    first.close()
    second.join(5)
    assert found != [None]
