"""A port in use is named with its holder, its key and the way out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack import ports

ROOT = Path(__file__).parents[3]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_with_all_that_is_needed_to_act(taken: int) -> None:
    with pytest.raises(ports.PortTaken) as refused:
        ports.check(taken, "stack.kafka_port")
    told = str(refused.value)
    assert f"port {taken} (stack.kafka_port) is taken by " in told
    assert f"(pid {os.getpid()})" in told
    assert "set stack.kafka_port to a free port, such as " in told
    suggested = int(told.rsplit(" ", 1)[1])
    ports.check(suggested, "stack.kafka_port")


def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ports.PortTaken, match=r"cannot be bound on 203\.0\.113\.1"):
        ports.check(ports.free()[0], "stack.kafka_port", host="203.0.113.1")


def test_free_ports_are_different_and_free() -> None:
    found = ports.free(5)
    assert len(set(found)) == 5
    for port in found:
        ports.check(port, "any")
        assert not ports.answers(port)


def test_a_port_that_is_used_later_goes_to_nobody_meanwhile() -> None:
    """The demo takes its ports two minutes before its trainer listens."""
    mine = ports.free(3)
    ask = "import sys; from deploy.stack import ports; print(*[ports._claimed(int(port)) for port in sys.argv[1:]])"
    command = [sys.executable, "-c", ask, *map(str, mine)]
    found = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert found.split() == 3 * ["False"]
    assert not set(mine) & set(ports.free(20))
    with socket.socket() as client, socket.create_server((ports.HOST, 0)) as server:
        client.connect(server.getsockname())
        assert client.getsockname()[1] not in ports._candidates()


def test_a_port_of_a_process_that_ended_is_free_again() -> None:
    ask = "from deploy.stack import ports; print(ports.free()[0])"
    found = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert ports._claimed(int(found))


def test_something_that_listens_answers(taken: int) -> None:
    assert ports.answers(taken)
