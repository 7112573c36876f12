"""The listed side-cars, asked for their signed attestation all the time, on a thread of its own.

Kafka's part is to name side-cars that fit a pattern, and to say that one has news. Where it is away the answers alone
decide, for as long as that takes."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable

import aiohttp
import msgspec
import structlog

from serving.routes.answers import Answered, Answers
from serving.routes.listed import KnownReplica, ReplicaList
from serving.routes.routing import RouteTable
from serving.routes.trust import RefusalReason, RefusedAttestation, count
from streams.clock import now_ms
from streams.events import ReplicaAttested

log = structlog.get_logger()

PATH = "/attestation"
MOST_BYTES = 4 * 1_048_576  # of an answer
LOOK_S = 0.1  # how soon another name in the log is noticed
END_S = 5.0  # for the thread


class SideCars:
    """The poller. `listed_in_log`: the table whose attestations name side-cars that no entry of the list names."""

    def __init__(
        self,
        listed: ReplicaList,
        listed_in_log: Callable[[], RouteTable],
        answers: Answers,
        poll_s: float,
        within_s: float,
    ) -> None:
        """`within_s`: for an answer to come."""
        self._listed, self._log_table, self._answers = listed, listed_in_log, answers
        self._poll_s, self._within_s = poll_s, within_s
        self._failing: frozenset[str] = frozenset()
        self._asked: set[str] = set()  # at least once
        self._news: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop, self._first_round = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="side-cars", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Return whether all side-cars known now were asked once, within the time."""
        return self._first_round.wait(timeout_s)

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(END_S)

    def wake(self, attestation: ReplicaAttested) -> None:
        """Ask a side-car now, for the log has news of it; from any thread."""
        loop, news = self._loop, self._news.get(attestation.replica)
        if loop is not None and news is not None and not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    def failing(self) -> frozenset[str]:
        """Return the side-cars whose last answer was none: asked after all others, until they are stale."""
        return self._failing

    async def ask(self, session: aiohttp.ClientSession, name: str) -> None:
        """Ask one side-car for its attestation, and note what came of it."""
        asked_s = self._answers.clock()
        try:
            attestation = await self._attested(session, name)
        except RefusedAttestation as refused:
            count(name, refused)
            self._answers.drop(name)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if name not in self._failing:
                log.warning("side-car does not answer", replica=name, error=repr(error))
            self._failing |= {name}
        else:
            self._failing -= {name}
            if attestation.gone:
                self._answers.drop(name)
            else:
                self._answers.note(name, Answered(attestation, asked_s))
        self._asked.add(name)

    async def _attested(self, session: aiohttp.ClientSession, name: str) -> ReplicaAttested:
        """Return what a side-car attests, checked. Raise RefusedAttestation, or what a connection raises."""
        known, nonce = self._listed.find(name), secrets.token_urlsafe(24)
        if known is None:
            raise RefusedAttestation(RefusalReason.UNLISTED, "no entry of [replicas] fits its name")
        attestation = self._listed.answered(name, nonce, await self._fetched(session, known, nonce))
        return msgspec.structs.replace(attestation, time_ms=now_ms())

    async def _fetched(self, session: aiohttp.ClientSession, known: KnownReplica, nonce: str) -> bytes:
        tls = self._listed.tls(known) or True
        url, data = known.url + PATH, b""
        async with session.get(url, params={"nonce": nonce}, ssl=tls, allow_redirects=False) as reply:
            if reply.status != 200:
                raise aiohttp.ClientError(f"{url}: status {reply.status}, expected 200")
            async for piece in reply.content.iter_any():
                data += piece
                if len(data) > MOST_BYTES:
                    raise RefusedAttestation(RefusalReason.MALFORMED, f"it has more than {MOST_BYTES} bytes")
        return data

    def _run(self) -> None:
        try:
            asyncio.run(self._ask_all())
        except Exception:  # the thread's top: no side-car is asked any more, and all of them are stale
            log.exception("side-cars are not asked any more")

    async def _ask_all(self) -> None:
        """Keep a task for each side-car that is listed by its name or named in the log."""
        self._loop = asyncio.get_running_loop()
        tasks: dict[str, asyncio.Task[None]] = {}
        timeout = aiohttp.ClientTimeout(total=self._within_s)
        async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
            while not self._stop.is_set():
                self._keep_asking(session, tasks)
                if tasks.keys() <= self._asked:
                    self._first_round.set()
                await asyncio.sleep(LOOK_S)
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    def _keep_asking(self, session: aiohttp.ClientSession, tasks: dict[str, asyncio.Task[None]]) -> None:
        wanted = {*self._listed.names, *self._log_table().attestations}
        for name in wanted - tasks.keys():
            self._news[name] = asyncio.Event()
            tasks[name] = asyncio.create_task(self._ask_again_and_again(session, name, self._news[name]))
        for name in tasks.keys() - wanted:
            tasks.pop(name).cancel()
            del self._news[name]
            self._failing -= {name}
            self._answers.drop(name)

    async def _ask_again_and_again(self, session: aiohttp.ClientSession, name: str, news: asyncio.Event) -> None:
        while True:
            news.clear()
            try:
                await self.ask(session, name)
            except Exception:  # the loop's top: the next question may be answered
                log.exception("side-car could not be asked", replica=name)
            try:
                await asyncio.wait_for(news.wait(), self._poll_s)
            except TimeoutError:
                continue
