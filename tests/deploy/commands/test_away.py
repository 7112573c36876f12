"""Operators' commands where no broker answers: one line, at once, with the address and what to do."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from deploy.cli import main
from deploy.config.toml import dump
from deploy.operator.last_known import KnownRoutes
from deploy.stack import broker
from streams.log import availability as presence
from streams.log.settings import KafkaSettings
from tests.serving.support.fake_log import route

ASKING = (
    ["pause"],
    ["pause", "support"],
    ["resume"],
    ["status"],
    ["rollback", "support"],
    ["promote", "support", "support-000000000000"],
    ["shadow", "support", "--off"],
    ["ledger", "ledger.jsonl"],
    ["replay"],
    ["dlq", "list"],
    ["dlq", "show", "inference.events/0/0"],
    ["dlq", "replay", "--all"],
    ["labels", "wanted", "support"],
    ["alarms", "list"],
    ["alarms", "show", "id"],
    ["alarms", "report", "id"],
    ["alarms", "clear", "id"],
    ["alarms", "accept", "support"],
    ["data", "build", "support"],
    ["retrain", "support", "--reason", "a new season"],
    ["adopt", ".", "--alias", "support"],
    ["status", "--people"],
    ["topics", "list"],
    ["topics", "accept", "inference.events"],
    ["revoke", "app"],
)
EXPLAINED = ("pause", "resume", "rollback", "revoke")  # whose answer says how things stand and what can be done


@pytest.fixture(params=["refused", "silent", "hangs up"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where no broker is: nobody listens, a process that hangs, one that is none."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param != "refused":
            server.listen()
        if request.param == "hangs up":
            _hang_up(server.dup())
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _hang_up(server: socket.socket) -> None:
    def work() -> None:
        with server:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

    threading.Thread(target=work, daemon=True).start()


NO_BROKERS = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "wants TLS": b"\x15\x03\x03\0\2\2\x28",
    "other": b"\xff" * 40,
    "half an answer": b"\0\0\0\x40\0\0",
}


@contextmanager
def saying(told: bytes, *, hangs_up: bool) -> Iterator[str]:
    """The address of a server that says so to whoever asks it anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        held = []

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                connection.recv(1_000)
                connection.sendall(told)
                if hangs_up:
                    connection.close()

        threading.Thread(target=work, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        for each in held:
            each.close()


@pytest.mark.parametrize("told", NO_BROKERS.values(), ids=NO_BROKERS)
def test_a_server_that_is_no_broker_is_told_from_one(told: bytes, tmp_path: Path) -> None:
    """Kafka's client tried it for three seconds, and a hundred lines of traceback said that it timed out."""
    began = time.monotonic()
    with saying(told, hangs_up=True) as address:
        done = CliRunner().invoke(main, ["pause", "--config", str(written(tmp_path, address))])
        assert not presence.answers(KafkaSettings(address))
    assert time.monotonic() - began < 3
    line = done.stderr.splitlines()[0]
    assert line.startswith(f"Error: Kafka at {address} cannot be reached (it answers, but not as Kafka does")


@pytest.mark.slow
def test_a_broker_that_lets_nobody_in_is_told_in_one_line(tmp_path: Path) -> None:
    said = {"status": "answers, but cannot be used (", "pause": "answered, and then nothing more for "}
    with saying(b"\0\0\0\x0a\0\0\0\1\0\0\0\0\0\0", hangs_up=False) as address:
        config = str(written(tmp_path, address))
        for command, why in said.items():
            done = CliRunner().invoke(main, [command, "--config", config])
            line, *more = done.stderr.splitlines()
            assert (done.exit_code, bool(more)) == (1, command in EXPLAINED)
            assert line.startswith(f"Error: Kafka at {address} {why}")
            assert "kafka.options" in line


def written(folder: Path, address: str) -> Path:
    path = folder / "homeostat.toml"
    stack = {"var": str(folder / "var"), "embedded_kafka": False}
    path.write_text(dump({"stack": stack, "kafka": {"bootstrap": address}}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("words", ASKING, ids=" ".join)
def test_a_command_says_in_one_line_that_kafka_is_away(
    words: list[str], address: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All wait by the same function: one for as long as it does, the others for less."""
    if request.node.callspec.params["address"] == "silent" and words != ["pause"]:
        monkeypatch.setattr(broker.reached, "__defaults__", (0.1,))
    began = time.monotonic()
    done = CliRunner().invoke(main, [*words, "--config", str(written(tmp_path, address))])
    assert time.monotonic() - began < 3
    assert done.exit_code == 1
    line, *more = done.stderr.splitlines()
    assert bool(more) == (words[0] in EXPLAINED)
    assert line.startswith(f"Error: Kafka at {address} ")
    assert "homeostat up" in line
    assert "kafka.bootstrap" in line


@pytest.mark.slow
def test_pause_is_through_in_three_seconds_as_a_process_with_all_that_it_says(tmp_path: Path) -> None:
    config = written(tmp_path, "127.0.0.1:1")
    command = [sys.executable, "-m", "deploy.cli", "pause", "--config", str(config)]
    took_s = []
    for _ in range(3):  # the best of three: processors that share their cores take longer for the same work
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 5)
        took_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took_s) + broker.ANSWER_S < 3


@pytest.mark.slow
def test_an_operator_who_finds_no_kafka_waits_for_no_client_of_it(tmp_path: Path) -> None:
    """Its import is a third of the work until then."""
    code = (
        "import atexit, sys; atexit.register(lambda: print('kafka' in sys.modules)); import deploy.cli as c; c.main()"
    )
    command = [sys.executable, "-c", code, "pause", "--config", str(written(tmp_path, "127.0.0.1:1"))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "False\n"), done.stderr


def test_an_act_that_finds_no_kafka_says_how_things_stand(tmp_path: Path) -> None:
    folder = tmp_path / "var" / "routes"
    folder.mkdir(parents=True)
    known = [route(), route("billing", paused=True, canary="billing-cccccccccccc", weight=0.5)]
    (folder / "controller.json").write_bytes(msgspec.json.encode(KnownRoutes(known)))
    config = str(written(tmp_path, "127.0.0.1:1"))
    _, nothing, known_last, _, next_ = CliRunner().invoke(main, ["pause", "--config", config]).stderr.splitlines()
    assert nothing == "Nothing was written: pause holds once the log has it."
    paused = "billing serves billing-aaaaaaaaaaaa, paused, billing-cccccccccccc is on trial"
    assert known_last == f"Known last, 0 min ago: {paused}; support serves support-aaaaaaaaaaaa, not paused"
    assert "stop the processes controller and trainer now" in next_
    done = CliRunner().invoke(main, ["rollback", "support", "--config", config])
    assert "the champion before is support-bbbbbbbbbbbb" in done.stderr
    (folder / "controller.json").write_bytes(b"no JSON")
    done = CliRunner().invoke(main, ["resume", "--config", config])
    assert "The routes are not known here" in done.stderr
    assert done.stderr.splitlines()[-1] == "Next: give `homeostat resume` again once Kafka answers."


def test_one_broker_of_several_is_enough() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"\0\0\0\6\0\0\0\1\0\0")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        port = server.getsockname()[1]
        settings = KafkaSettings(f"127.0.0.1:1,127.0.0.1:{port}", {"client_id": "x"})
        assert broker.reached(settings).options == {"bootstrap_timeout_ms": 3_000, "client_id": "x"}


def test_an_address_that_leads_nowhere_is_named() -> None:
    with pytest.raises(broker.KafkaAway, match=r"Kafka at nowhere\.invalid:9092 "):
        broker.reached(KafkaSettings("nowhere.invalid:9092"))


def test_no_command_takes_the_brokers_for_granted() -> None:
    folder = Path(__file__).parents[3] / "deploy" / "commands"
    modules = {path.name: path.read_text() for path in folder.glob("*.py")}
    assert [name for name, text in modules.items() if re.search(r"\bload\(config_path\)\.kafka", text)] == []


def commands(group: click.Group) -> Iterator[click.Command]:
    for command in group.commands.values():
        yield command
        if isinstance(command, click.Group):
            yield from commands(command)


@pytest.mark.parametrize("command", commands(main), ids=lambda command: str(command.name))
def test_every_command_and_option_has_a_help_line(command: click.Command) -> None:
    assert command.get_short_help_str(), command.name
    assert not command.get_short_help_str().endswith("..."), "too long for one line: give it a short_help"
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []
