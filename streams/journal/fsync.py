"""A growing file, forced to the disk now and then by a thread, so that its writer need not wait."""

from __future__ import annotations

import os
import threading
from collections import deque
from pathlib import Path

import structlog

from streams.files import force

log = structlog.get_logger()

NOTHING = (-1, 0)  # file and its size when last forced


class BackgroundFsync:
    """The thread. It owns the files that it is given: it closes each once the next has taken over and its bytes are on
    the disk.

    `follow` and `close` are for one thread and never wait for the disk, but for `close`, which forces what is left."""

    def __init__(self, folder: Path, every_s: float) -> None:
        self._folder, self._every_s = folder, every_s
        self._fd: int | None = None
        self._synced = NOTHING
        self._retired: deque[int] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-fsync", daemon=True)
        self._thread.start()

    def follow(self, fd: int | None) -> None:
        """Take the file that grows from now on; None until there is a next one."""
        # the new one first: a reader of `_fd` must never hold one that is being closed
        old, self._fd = self._fd, fd
        if old is not None:
            self._retired.append(old)

    def close(self) -> None:
        """Force the rest to the disk, and end the thread."""
        self.follow(None)
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._force_all()
        self._force_all()

    def _force_all(self) -> None:
        retired = [self._retired.popleft() for _ in range(len(self._retired))]
        current = self._fd
        for fd in retired:
            self._force(fd)
            os.close(fd)
            self._synced = NOTHING  # the next file may get the same number
        if current is not None:
            self._force(current)

    def _force(self, fd: int) -> None:
        try:
            if (now := (fd, os.fstat(fd).st_size)) != self._synced:
                os.fsync(fd)
                if fd != self._synced[0]:
                    force(self._folder)
                self._synced = now
        except OSError as error:  # the events are in the page cache and on their way to Kafka all the same
            log.error("journal cannot be forced to the disk", folder=str(self._folder), error=str(error))
