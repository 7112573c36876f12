"""TCP ports: free ones, taken ones and their holders."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from itertools import islice
from pathlib import Path

import psutil

HOST = "127.0.0.1"
LOWEST, LAST = 10_000, 65_535  # below are known services, and our own defaults
FEWEST = 1_000  # ports to choose from
EPHEMERAL, USUAL_END = Path("/proc/sys/net/ipv4/ip_local_port_range"), 32_768
CLAIMS = f"homeostat-ports-{os.getuid()}"  # a byte a port, which is locked as long as the claiming process lives
_mine: set[int] = set()


class PortTaken(OSError):
    """A port is not available; the message names it, its holder, its configuration key and a remedy."""


def check(port: int, key: str, host: str = HOST) -> None:
    """Check that `port` can be bound now. Raise PortTaken if not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(_complaint(port, key, host, error)) from error


def free(count: int = 1, host: str = HOST) -> list[int]:
    """Return different ports that are free, and stay so until they are used, which may be minutes later: the system
    gives them to no connection, and this function to no other process as long as this one lives."""
    candidates = _candidates()
    shuffled = random.Random().sample(candidates, len(candidates))
    found = list(islice((port for port in shuffled if _unused(port, host) and _claimed(port)), count))
    if len(found) < count:
        raise OSError(f"{len(found)} ports are free on {host}, expected {count}")
    return found


@cache
def _candidates() -> range:
    """Return those below the ones that the system gives to connections, where these leave some."""
    try:
        first = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError):
        first = USUAL_END
    return range(LOWEST, first if first >= LOWEST + FEWEST else LAST + 1)


def _unused(port: int, host: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
        probe.bind((host, port))
        return True
    return False


def _claimed(port: int) -> bool:
    """Claim a port for this process, and return whether neither it nor another one has it already."""
    if port in _mine:
        return False
    if (claims := _claims()) is not None:
        try:
            fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
    _mine.add(port)
    return True


@cache
def _claims() -> int | None:
    """Open the file once: to close it would end this process's claims. None where there is no place for it."""
    try:
        return os.open(Path(tempfile.gettempdir()) / CLAIMS, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None


def answers(port: int, host: str = HOST, timeout_s: float = 0.5) -> bool:
    """Check that something accepts connections at the port."""
    try:
        socket.create_connection((host, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def holder(port: int) -> str:
    """Return the process that listens at the port, as far as it is visible: `java (pid 4711)`, or `another process`."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and getattr(connection.laddr, "port", None) == port
                and connection.pid
            ):
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return "another process"


def _complaint(port: int, key: str, host: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} ({key}) is taken by {holder(port)}: stop it, "
            f"or set {key} to a free port, such as {free(1)[0]}"
        )
    return f"port {port} ({key}) cannot be bound on {host}: {error.strerror}; set {key} to another port"
