"""The doctor looks from where a role would stand: what is wrong is named, with what to do, and it exits 1."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.config.settings import Config
from deploy.config.toml import dump
from deploy.doctor import engines, jobs, standing, store
from deploy.doctor.certificates import certificates, end_of, ends
from deploy.doctor.findings import Finding
from deploy.doctor.names import replicas, trainers
from deploy.stack.settings import StackSettings
from retrain.claims import namesakes
from retrain.settings import RetrainSettings
from streams.engine_access import EngineAccess
from streams.events import ReplicaAttested, RetrainReported
from streams.kinds import RetrainStatus
from streams.log.read import Record
from streams.objects.folder import FolderStore
from tests.deploy.support.asked_engine import asked_engine
from tests.serving.support.certificates import Certificates
from tests.support.s3 import S3

NOW = datetime.now(UTC)
KEY = "right-key"
KEY_TEXT = base64.b64encode(bytes(32)).decode()


@contextmanager
def vllm(*, runtime: bool = True, key: str = "") -> Iterator[str]:
    """vLLM's answers to what the doctor asks, as its releases give them: without the variable the path is not there."""

    def answer(path: str, shown: str) -> tuple[int, Mapping[str, str]]:
        loading = 405 if runtime else 404
        return 401 if key and shown != f"Bearer {key}" else 200 if path == "/v1/models" else loading, {}

    with asked_engine(answer) as (url, _):
        yield url


def config(var: Path, access: EngineAccess) -> Config:
    return Config(StackSettings(var=var, embedded_kafka=False), engines={"gpu0": access})


def bad(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(each.detail, each.remedy) for each in findings if not each.ok]


def test_an_engine_without_runtime_lora_is_named_to_whoever_loads_adapters(tmp_path: Path) -> None:
    with vllm(runtime=False) as url:
        made = config(tmp_path, EngineAccess(url=url))
        ((detail, remedy),) = bad(engines.reached(made, NOW, loads=True))
        assert f"{url} takes no adapters while it runs" in detail
        assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in remedy
        assert bad(engines.reached(made, NOW, loads=False)) == []
    with vllm() as url:
        assert bad(engines.reached(config(tmp_path, EngineAccess(url=url)), NOW, loads=True)) == []


def test_a_trainer_without_an_api_server_is_told_where_to_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightkube")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    made = Config(StackSettings(var=tmp_path), retrain=RetrainSettings(runner="kubernetes"))
    ((detail, remedy),) = bad(jobs.taken(made))
    assert "no API server is known here" in detail
    assert "pod" in remedy
    assert bad(jobs.taken(replace(made, retrain=RetrainSettings()))) == []


def test_a_key_that_is_refused_or_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("wrong-key")
    with vllm(key=KEY) as url:
        for access, told in (
            (EngineAccess(url=url), "refuses a request without a key (401)"),
            (EngineAccess(url=url, key_file=tmp_path / "key"), f"refuses the key in {tmp_path / 'key'} (401)"),
        ):
            ((detail, _),) = bad(engines.reached(config(tmp_path, access), NOW, loads=True))
            assert told in detail
        (tmp_path / "key").write_text(KEY)
        given = EngineAccess(url=url, key_file=tmp_path / "key")
        assert bad(engines.reached(config(tmp_path, given), NOW, loads=True)) == []


def test_an_engine_that_is_away_is_named_with_its_address(tmp_path: Path) -> None:
    ((detail, _),) = bad(engines.reached(config(tmp_path, EngineAccess(url="http://127.0.0.1:1")), NOW, loads=True))
    assert detail.startswith("http://127.0.0.1:1 cannot be reached")


def test_a_certificate_is_named_a_month_before_it_ends(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    (last,) = ends(made.cert)
    for before, ok, needed in ((31, True, True), (29, False, False), (0.2, False, True), (-1, False, True)):
        (found,) = certificates({"gateway.tls_cert": made.cert}, last - timedelta(days=before))
        assert (found.ok, found.needed) == (ok, needed), before
        assert ok or "renew it" in found.remedy
    (missing,) = certificates({"gateway.tls_cert": tmp_path / "none.pem"}, NOW)
    assert not missing.ok
    with pytest.raises(ValueError, match="no certificate"):
        end_of(b"\x30\x03\x02\x01\x01")


def test_what_is_read_of_a_certificate_is_what_the_library_reads(tmp_path: Path) -> None:
    from cryptography import x509

    made = Certificates(tmp_path)
    for path in (made.ca, made.cert):
        assert ends(path) == [x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc]


class Careless(FolderStore):
    """Overwrites whatever stands there."""

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        self.delete(key)
        return super().put_if_absent(key, content, forced=forced)


@dataclass(frozen=True)
class Hasty(FolderStore):
    """Looks first and writes then, as some servers do: those who look at once all write."""

    looked: threading.Barrier = field(default_factory=lambda: threading.Barrier(store.AT_ONCE))

    def put_if_absent(self, key: str, content: bytes | Path, *, forced: bool = True) -> bool:
        free = not self.holds(key)
        if free:
            self.looked.wait(60)
            self.delete(key)
            super().put_if_absent(key, content, forced=forced)
        return free


class Forgetful(FolderStore):
    """Replaces an object whatever mark it has."""

    def put_if_match(self, key: str, content: bytes, etag: str, *, forced: bool = True) -> bool:
        return super().put_if_match(key, content, self.get(key).etag, forced=forced)


def test_a_store_that_lets_two_through_at_once_is_named(tmp_path: Path) -> None:
    assert "of 4 puts at once for an object that is not there 4 succeeded" in store.conditions(Hasty(tmp_path))
    assert "replace" in store.conditions(Forgetful(tmp_path))


def test_a_store_whose_puts_are_not_conditional_is_named(tmp_path: Path, s3: S3) -> None:
    assert store.conditions(FolderStore(tmp_path)) == ""
    assert store.conditions(Config(storage=s3.storage("doctor")).kept.objects()) == ""
    assert "object that is" in store.conditions(Careless(tmp_path))
    assert list(FolderStore(tmp_path).list("doctor")) == []


def attested(replica: str, url: str, at_ms: int) -> Record[ReplicaAttested]:
    event = ReplicaAttested(
        replica=replica, url=url, time_ms=at_ms, healthy=True, base_model="b", versions={}, generations={}
    )
    return Record(0, at_ms, at_ms, event)


def test_two_replicas_of_one_name_are_named_and_one_that_moved_long_ago_is_not() -> None:
    two = [attested("gpu0", "http://a", 100_000), attested("gpu0", "http://b", 105_000)]
    ((detail, remedy),) = bad(replicas(two))
    assert detail == "two replicas are called gpu0: at http://a, http://b"
    assert "POD_NAME" in remedy
    assert bad(replicas([*two[:1], attested("gpu0", "http://b", 200_000)])) == []


def test_two_trainers_of_one_name_are_named() -> None:
    def claim(request: str, by: str) -> RetrainReported:
        return RetrainReported(
            request_id=request, alias="s", status=RetrainStatus.CLAIMED, time_ms=1, by=by, lease_until_ms=100
        )

    results = [claim("r1", "trainer/pod@aa"), claim("r2", "trainer/pod@bb"), claim("r3", "trainer/other@cc")]
    assert trainers(results, 50) == {"trainer/pod"}
    assert namesakes(results, "trainer/other@cc", 50) == set()
    assert namesakes(results, "trainer/pod@aa", 101) == set()  # its lease has ended


@pytest.mark.parametrize("role", standing.LOOKS)
def test_each_role_is_looked_at_and_what_is_away_exits_1(role: str, tmp_path: Path) -> None:
    path = tmp_path / "homeostat.toml"
    stack = {"var": str(tmp_path / "var"), "embedded_kafka": False, "model_id": "llama@0123456789ab"}
    path.write_text(
        dump({"stack": stack, "kafka": {"bootstrap": "127.0.0.1:1"}}) + '[engines.gpu0]\nurl = "http://127.0.0.1:1"\n'
    )
    done = CliRunner().invoke(main, ["doctor", "--role", role, "--config", str(path)])
    assert done.exit_code == 1, done.output
    assert "127.0.0.1:1" in done.output
    assert f"{role}/" in done.output
    assert not (tmp_path / "var").exists() or role != "gateway"
