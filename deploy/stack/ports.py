"""TCP ports: free ones, taken ones and their holders."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

HOST = "127.0.0.1"


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
    """Return different ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [int(each.getsockname()[1]) for each in sockets]


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
