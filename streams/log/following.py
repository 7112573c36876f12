"""Following a topic for as long as a process lives, whatever the broker does meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

from streams.events import Event
from streams.log.read import Record, follow
from streams.log.settings import KafkaSettings
from streams.topics import Topic

log = structlog.get_logger()

E = TypeVar("E", bound=Event)
BACK_OFF_S = (0.2, 5.0)  # first and longest pause after trouble


def _nothing() -> None:
    """Do nothing: the default of a step that a follower may take."""


class Following(Generic[E]):
    """A topic, read from its start and then for ever, on a thread of its own. `take` gets each record.

    After trouble the topic is read from its start once more, after a pause that grows and that a working connection
    resets. `begin` is called before each reading from the start, `caught_up` each time its end is reached, and `idle`
    whenever nothing comes for `poll_ms`. All are called on the thread; whatever they raise is trouble too."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: Topic,
        kind: type[E],
        take: Callable[[Record[E]], None],
        stop: threading.Event,
        *,
        begin: Callable[[], None] = _nothing,
        caught_up: Callable[[], None] = _nothing,
        idle: Callable[[], None] = _nothing,
        from_end: Callable[[], bool] = lambda: False,
        poll_ms: int = 200,
    ) -> None:
        """`from_end`: asked before each reading, whether to leave out what is there already."""
        self._kafka, self._topic, self._kind, self._take, self._stop = kafka, topic, kind, take, stop
        self._begin, self._caught_up, self._idle, self._from_end = begin, caught_up, idle, from_end
        self._poll_ms = poll_ms
        self._live, self._wait_s = threading.Event(), BACK_OFF_S[0]
        self.well = True  # no trouble since the topic's end was reached, or none yet
        self._thread = threading.Thread(target=self._forever, name=f"follow-{topic.name}", daemon=True)

    @property
    def live(self) -> bool:
        """Return whether the topic's end was reached, and no trouble came since."""
        return self._live.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Return whether it is live within the time."""
        return self._live.wait(timeout_s)

    def start(self) -> None:
        """Start the thread; it ends soon after `stop` is set."""
        self._thread.start()

    def join(self, timeout_s: float = 5.0) -> None:
        """Wait for the thread's end, where it was started."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _forever(self) -> None:
        while not self._stop.is_set():
            try:
                self._read()
            except Exception as error:  # the loop's top: the broker may do anything
                self._live.clear()
                self.well = False
                log.warning("cannot follow the log, trying again", topic=self._topic.name, error=repr(error))
            self._stop.wait(self._wait_s)
            self._wait_s = min(2 * self._wait_s, BACK_OFF_S[1])

    def _read(self) -> None:
        self._begin()
        records = follow(
            self._kafka,
            self._topic,
            self._kind,
            stop=self._stop.is_set,
            from_end=self._from_end(),
            poll_ms=self._poll_ms,
            idle=self._pause,
        )
        for record in records:
            self._take(record)

    def _pause(self) -> None:
        self._wait_s, self.well = BACK_OFF_S[0], True
        if not self.live:
            self._caught_up()
            self._live.set()
        self._idle()
