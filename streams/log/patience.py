"""An act that is given up once the brokers no longer move it on, whatever they do.

Kafka's clients try for half a minute, some of their calls for ever: a broker that answers the first question may answer
no other. So the act runs on a thread of its own, and says after each step that it has moved on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

QUIET_S = 1.5  # a step takes a tenth of it, or half where others want the processors

T = TypeVar("T")
Moved = Callable[[], None]


class BrokersSilent(OSError):
    """Nothing came from the brokers for too long. What was under way then is in the log or is not."""


def silent(about: str, quiet_s: float) -> BrokersSilent:
    """Return the error for brokers that have sent nothing for so long."""
    return BrokersSilent(
        f"Kafka at {about} answered, and then nothing more for {quiet_s:g} s: look at kafka.security or kafka.options, "
        "and at the addresses that the brokers advertise; `homeostat doctor` shows more"
    )


def unheeded() -> None:
    """Do nothing: for an act whose steps are not waited for."""


def patient(act: Callable[[Moved], T], about: str, quiet_s: float = QUIET_S) -> T:
    """Return what `act` returns, or raise what it raises; it calls what it is given after each step. Raise
    BrokersSilent where no step comes for `quiet_s`; the thread is left behind, and ends with the process at the latest.
    `about`: the brokers' address.

    >>> patient(lambda moved: 1, "kafka:9092")
    1
    """
    steps: queue.SimpleQueue[None] = queue.SimpleQueue()
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(act(lambda: steps.put(None)))
        except BaseException as error:  # the thread's top: it is raised where it is waited for
            done.set_exception(error)
        finally:
            steps.put(None)

    threading.Thread(target=work, name="patient", daemon=True).start()
    while not done.done():
        try:
            steps.get(timeout=quiet_s)
        except queue.Empty:
            raise silent(about, quiet_s) from None
    return done.result()
