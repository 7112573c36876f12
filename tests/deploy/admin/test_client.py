"""`homeostat` with `admin.url` set, against `homeostat run admin`: real processes on both sides."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from click.testing import CliRunner, Result

from deploy.admin import sending, token
from deploy.admin.client import DEFAULT_FILE
from deploy.cli import main
from deploy.config import settings as config
from deploy.config.admin_settings import AdminSettings
from deploy.config.toml import dump
from deploy.doctor.standing import port
from deploy.operator.last_known import KnownRoutes
from deploy.stack import broker, ports
from serving.gateway.access.keys import Key, entry
from streams import ledger
from streams.log.append import Appender
from streams.log.settings import KafkaSettings
from streams.topics import ROUTES
from tests.serving.support.certificates import Certificates
from tests.serving.support.fake_log import route
from tests.support.waiting import wait

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class AdminProcess:
    """`homeostat run admin`, and the configurations of those who send it commands."""

    folder: Path
    port: int
    pid: int = 0
    scheme: str = "http"

    def client(self, key: str = "ann", **settings: Any) -> Path:
        secret = self.folder / f"{key}.token"
        secret.write_text(f"{key}\n")
        secret.chmod(0o600)
        own = {"url": f"{self.scheme}://127.0.0.1:{self.port}", "token_file": str(secret), **settings}
        path = self.folder / f"{key}.toml"
        path.write_text(dump({"stack": {"var": str(self.folder / "nowhere")}, "admin": own}))
        return path

    def run(self, *words: str, key: str = "ann", **settings: Any) -> Result:
        return CliRunner().invoke(main, [*words, "--config", str(self.client(key, **settings))])


def started(folder: Path, bootstrap: str, tls: Certificates | None = None) -> Iterator[AdminProcess]:
    port = ports.free(1)[0]
    keys = folder / "keys.toml"
    names = {"ann": ["admin"], "bob": ["read"], "sue": ["review", "approve"], "gone": ["read"]}
    keys.write_text("".join(entry(Key.of(name, name, scopes)) for name, scopes in names.items()))
    keys.chmod(0o600)
    own = {"tls_cert": str(tls.cert), "tls_key": str(tls.key)} if tls else {}
    tables: dict[str, Any] = {
        "stack": {"var": str(folder / "var"), "embedded_kafka": False, "admin_port": port},
        "kafka": {"bootstrap": bootstrap},
        "gateway": {"keys_file": str(keys)},
        "audit": {"target": str(folder / "audit.jsonl")},
        "admin": {**own, "url": f"https://127.0.0.1:{port}"},  # that commands which run there must not follow
    }
    config = folder / "server.toml"
    config.write_text(dump(tables))
    command = [sys.executable, "-m", "deploy.cli", "run", "admin", "--config", str(config)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: _listens(port) or process.poll() is not None, what="the admin API")
        assert process.poll() is None, (folder / "log").read_text()
        yield AdminProcess(folder, port, process.pid, "https" if tls else "http")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminProcess]:
    """An admin API whose Kafka is away, and which knew the routes before."""
    folder = tmp_path_factory.mktemp("away")
    known = folder / "var" / "routes" / "admin.json"
    known.parent.mkdir(parents=True)
    known.write_bytes(msgspec.json.encode(KnownRoutes([route()])))
    yield from started(folder, "127.0.0.1:1")


def test_a_command_runs_there_and_looks_as_if_it_ran_here(away: AdminProcess) -> None:
    words = ["monitor", "plan", "--events", "1000"]
    there = away.run(*words)
    (away.folder / "here.toml").write_text(dump({"stack": {"var": str(away.folder / "here")}}))
    here = CliRunner().invoke(main, [*words, "--config", str(away.folder / "here.toml")])
    assert (there.exit_code, there.stdout.split()) == (0, here.stdout.split())
    assert not (away.folder / "nowhere").exists()


def test_a_folder_comes_back_to_where_it_is_wanted(away: AdminProcess, tmp_path: Path) -> None:
    done = away.run("dashboards", "export", str(tmp_path / "out"), key="bob")
    assert done.exit_code == 0
    assert all(Path(line).is_file() for line in done.stdout.splitlines())
    page = tmp_path / "out" / "prometheus" / "prometheus.yml"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert str(tmp_path / "out") in done.stdout


def test_pause_with_kafka_away_says_within_three_seconds_what_is(away: AdminProcess) -> None:
    """As processes on both sides, with all that they import: by processor time, as in
    tests/deploy/commands/test_away.py, for processors that share their cores take longer."""
    command = [sys.executable, "-m", "deploy.cli", "pause", "support", "--config", str(away.client())]
    took_s = []
    for _ in range(3):
        before = _spent(away.pid)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        took_s.append(_spent(away.pid) - before)
    assert (done.returncode, done.stdout) == (1, "")
    first, *answer = done.stderr.splitlines()
    assert first.startswith("Error: Kafka at 127.0.0.1:1 cannot be reached")
    assert answer[0] == "Nothing was written: pause holds once the log has it."
    assert "support serves" in answer[1]
    assert "not paused" in answer[1]
    assert answer[-1].startswith("Next: give `homeostat pause support` again once Kafka answers; to keep anything")
    assert min(took_s) + broker.ANSWER_S < 3


def _spent(server: int) -> float:
    """Seconds of processor time, of the command lines here and of the commands that the server ran."""
    here, there = resource.getrusage(resource.RUSAGE_CHILDREN), psutil.Process(server).cpu_times()
    return here.ru_utime + here.ru_stime + there.children_user + there.children_system


def test_who_lacks_the_scope_gets_an_error_that_says_so(away: AdminProcess) -> None:
    done = away.run("pause", key="bob")
    assert done.exit_code == 1
    assert "the API key bob lacks the scope admin; ask who gives out keys" in done.stderr
    done = away.run("pause", key="nobody")
    assert "the API key is not known; get a new key or token (admin.token_file, admin.token_command)" in done.stderr


def test_the_audit_log_has_who_did_what_and_what_came_of_it(away: AdminProcess) -> None:
    away.run("resume", "billing")
    away.run("resume", "billing", key="bob")
    done, refused = [json.loads(line) for line in (away.folder / "audit.jsonl").read_text().splitlines()][-2:]
    assert (done["who"], done["what"], done["alias"], done["outcome"]) == (
        "ann",
        "homeostat resume",
        "billing",
        "failed",
    )
    assert done["reason"] == "exit 1"
    assert (refused["who"], refused["outcome"], refused["status"]) == ("bob", "refused", 403)


def test_what_runs_where_it_is_given_is_not_sent(away: AdminProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOMEOSTAT__ADMIN__URL", "https://127.0.0.1:1")
    assert CliRunner().invoke(main, ["config"]).exit_code == 0
    assert CliRunner().invoke(main, ["key", "ann"]).exit_code == 0
    done = away.run("alarms", "report", "0123", "--open", "--out", "x")
    assert "opened is not sent to the admin API: the browser would open on the server" in done.stderr
    done = away.run("backtest", "--policy", "/not/there.toml")
    assert "/not/there.toml: no such file" in done.stderr


def test_an_admin_api_that_is_away_is_named_at_once(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        began = time.monotonic()
        done = AdminProcess(tmp_path, port).run("pause", connect_timeout_s=0.5)
        assert time.monotonic() - began < 10
    assert done.exit_code == 1
    assert f"the admin API at http://127.0.0.1:{port} cannot be reached" in done.stderr
    assert "nothing was sent: does `homeostat run admin` run there? See admin.url" in done.stderr


def test_an_admin_api_that_takes_the_call_and_says_nothing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SILENT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = AdminProcess(tmp_path, silent.getsockname()[1]).run("status")
    assert done.exit_code == 1
    assert "it took the connection, and then said nothing for 0.3 s): the connection broke off; the command may" in (
        done.stderr
    )


def test_the_environment_names_it_too_and_a_command_that_it_runs_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DEFAULT_FILE == config.DEFAULT_FILE
    monkeypatch.chdir(tmp_path)
    (tmp_path / "homeostat.toml").write_text(dump({"stack": {"var": "var", "embedded_kafka": False}}))
    monkeypatch.setenv("HOMEOSTAT__ADMIN__URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HOMEOSTAT__ADMIN__TOKEN_COMMAND", "echo, a-token")
    monkeypatch.setenv("HOMEOSTAT__KAFKA__BOOTSTRAP", "127.0.0.1:2")
    assert "the admin API at http://127.0.0.1:1 cannot be reached" in CliRunner().invoke(main, ["pause"]).stderr
    monkeypatch.setenv("HOMEOSTAT_BY", "ann")
    assert "Kafka at 127.0.0.1:2 cannot be reached" in CliRunner().invoke(main, ["pause"]).stderr


def test_a_server_without_tls_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        done = AdminProcess(tmp_path, server.server_port, scheme="https").run("pause")
        server.shutdown()
    assert done.exit_code == 1
    assert "does not speak TLS as expected" in done.stderr
    assert "admin.tls_cert" in done.stderr


def test_a_server_that_is_no_admin_api_is_named(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"], stdout=subprocess.PIPE, cwd=tmp_path
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline().split()[5])
        done = AdminProcess(tmp_path, port).run("pause")
        other.kill()
    assert "is this its address?" in done.stderr


def test_its_certificate_is_believed_by_those_who_know_its_authority(tmp_path: Path) -> None:
    files = Certificates(tmp_path)
    for admin in started(tmp_path, "127.0.0.1:1", files):
        done = admin.run("monitor", "plan", "--events", "1000", ca=str(tmp_path / "ca.pem"))
        assert done.exit_code == 0, done.stderr
        done = admin.run("pause", ca=str(tmp_path / "other.pem"))
        assert "shows a certificate that is not believed" in done.stderr
        assert "set admin.ca" in done.stderr
        server = str(tmp_path / "server.toml")
        health = CliRunner().invoke(main, ["health", "admin", "--config", server])
        assert (health.exit_code, health.stdout) == (0, "admin is alive\n"), health.stderr
        (found,) = port("admin", config.load(Path(server)))
        assert (found.ok, "is the running role's" in found.detail) == (True, True), found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"url": "http://ops.example"}, "AdminSettings.url is 'http://ops.example', expected an https address"),
        ({"token_file": "/x", "token_command": ["y"]}, "AdminSettings.token_command is"),
    ],
)
def test_a_setting_that_would_give_the_token_away_or_leaves_it_open_is_named(
    settings: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "homeostat.toml"
    path.write_text(dump({"admin": {"url": "https://ops.example", **settings}}))
    done = CliRunner().invoke(main, ["pause", "--config", str(path)])
    assert done.exit_code == 1
    assert expected in done.stderr


def test_the_token_comes_from_a_closed_file_or_a_command(tmp_path: Path) -> None:
    printing = AdminSettings(token_command=(sys.executable, "-c", "print('a-token')"))
    assert token.token(printing) == "a-token"
    code = "import sys;sys.exit(print('not logged in',file=sys.stderr) or 7)"
    with pytest.raises(RuntimeError, match="ended with 7: not logged in"):
        token.token(AdminSettings(token_command=(sys.executable, "-c", code)))
    with pytest.raises(RuntimeError, match="cannot be run"):
        token.token(AdminSettings(token_command=("no-such-command",)))
    with pytest.raises(ValueError, match="gives 2 texts"):
        token.token(AdminSettings(token_command=("echo", "Access denied")))
    with pytest.raises(ValueError, match=r"set admin\.token_file or admin\.token_command"):
        token.token(AdminSettings())
    file = tmp_path / "token"
    file.write_text("a-token\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="lies open to everybody"):
        token.token(AdminSettings(token_file=file))


@pytest.fixture(scope="module")
def admin(kafka: KafkaSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminProcess]:
    yield from started(tmp_path_factory.mktemp("admin"), kafka.bootstrap)


@pytest.mark.kafka
def test_acts_stand_in_the_ledger_under_the_persons_name(admin: AdminProcess, kafka: KafkaSettings) -> None:
    appender = Appender(kafka, "test")
    appender.append(ROUTES, route(alias="remote"), id="remote-1", time_ms=1)
    appender.close()
    done = admin.run("pause", "remote")
    assert (done.exit_code, done.stdout) == (0, "remote: paused; `homeostat resume remote` lets it go on\n")
    (act,) = [each for each in ledger.read(kafka) if each.alias == "remote"]
    assert (act.inputs["by"], act.inputs["action"]) == ("admin/ann", "pause")
    done = admin.run("rollback", "nowhere")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "nowhere" in done.stderr


@pytest.mark.kafka
def test_a_key_that_is_revoked_there_is_refused_there_within_seconds(admin: AdminProcess) -> None:
    assert admin.run("topics", "list", key="gone").exit_code == 0
    assert "lacks the scope admin" in admin.run("revoke", "gone", key="bob").stderr
    done = admin.run("revoke", "gone")
    assert (done.exit_code, done.stdout) == (0, "gone: revoked; take its entry out of gateway.keys_file\n")
    wait(lambda: admin.run("topics", "list", key="gone").exit_code != 0, what="the refusal")
    done = admin.run("topics", "list", key="gone")
    assert "the API key gone is revoked; get a new key" in done.stderr
    kept = admin.folder / "var" / "revoked" / "admin.json"
    wait(kept.exists, "the disk, once nothing more comes from the log")
    assert kept.stat().st_mode & 0o77 == 0
    done = admin.run("revoke", "never")
    assert done.exit_code == 1
    assert "no API key is called 'never'" in done.stderr


@pytest.mark.kafka
def test_a_ledger_comes_back_and_is_sent_to_be_replayed(admin: AdminProcess, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    done = admin.run("ledger", str(file))
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{len(file.read_text().splitlines())} decisions in {file}\n"
    done = admin.run("replay", str(file), key="bob")
    assert done.exit_code == 0, done.stderr
    file.write_text("no ledger\n")
    done = admin.run("replay", str(file), key="bob")
    assert done.exit_code == 1
    assert str(file) in done.stderr
    assert "homeostat-admin-" not in done.stderr


@pytest.mark.kafka
def test_a_reviewer_is_who_the_token_says(admin: AdminProcess) -> None:
    done = admin.run("review", "refuse", "remote-0123456789ab", "--reason", "too short", key="sue")
    assert done.exit_code == 1
    assert "no candidate of remote" in done.stderr, "the process took the token for sue's"
    done = admin.run("review", "refuse", "remote-0123456789ab", "--reason", "x", "--key", "ann", key="sue")
    assert "the API key ann lacks the scope approve" in done.stderr


def test_the_probes_answer_without_a_key(away: AdminProcess) -> None:
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://127.0.0.1:{away.port}/{path}", timeout=5) as reply:
            assert reply.status == 200
    assert "HOMEOSTAT_BY" not in os.environ
