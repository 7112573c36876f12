"""Simulated clients: they send requests through the public API, give some labels back later, and note each outcome."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Self

import aiohttp
import msgspec

from deploy.demo.openai_client import ChatReply, Unanswered, ask
from deploy.operator.rows import LabelledRow
from monitor.metrics import exact_match
from streams.clock import now_ms

POLL_S = 0.05
CLIENTS = 40
SLOWEST_ANSWER_S = 120.0
IDLE_S = 2.0  # a connection idle for longer is not used again: the server may be closing it just then
FEEDBACK_TRIES = 8
FEEDBACK_PAUSE_S = 0.25  # before the first repetition; doubles each time


Phase = Literal["before", "after"]  # which rows: those of the known world, or those after the shift


class RequestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one request as its client saw it. `correct`: the simulator's own truth, None without an answer."""

    row_index: int
    phase: Phase
    client: str
    sent_ms: int
    answered_ms: int
    status: int  # 0 where no HTTP answer came
    streamed: bool
    version: str = ""  # the header's
    model: str = ""  # the engine's, from the body; where chunks disagree, one that is not the header's
    request_id: str = ""
    answer: str = ""
    correct: bool | None = None
    error: str = ""

    @property
    def failed(self) -> bool:
        """The final status is not 200, or the stream broke."""
        return self.status != 200 or bool(self.error)

    @property
    def misattributed(self) -> bool:
        """The gateway names another version than the engine that answered."""
        return not self.failed and self.version != self.model


@dataclass(slots=True)
class GivenFeedback:
    """The numbers of labels given back so far."""

    sent: int = 0
    accepted: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)  # of the failed ones, the first few


OnResult = Callable[[RequestOutcome], None]


@dataclass(slots=True)
class Clients:
    """Many clients of one alias behind one key. A request that fails is counted; it raises nothing.

    `rate` (requests a second; None: as fast as `concurrency` allows, 0: none) may be changed at any time.
    Which rows get feedback depends on the seed and the row only."""

    base_url: str
    key: str
    alias: str
    concurrency: int = 8
    feedback_share: float = 0.5
    feedback_delay_s: tuple[float, float] = (0.2, 1.5)
    seed: int = 0
    max_tokens: int = 16
    streamed_share: float = 0.1
    timeout_s: float = SLOWEST_ANSWER_S
    rate: float | None = None
    feedback: GivenFeedback = field(default_factory=GivenFeedback)
    _session: aiohttp.ClientSession | None = None
    _pending: set[asyncio.Task[None]] = field(default_factory=set)
    _due: float = 0.0
    _stopped: bool = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(
        self,
        rows: Iterable[LabelledRow],
        rate: float | None = None,
        on_result: OnResult = lambda outcome: None,
        *,
        phase: Phase,
        first_index: int = 0,
    ) -> list[RequestOutcome]:
        """Send each row once, in order. Return when all are answered, or when `stop` was called and those on their way
        are. `rows` is read as requests are sent, so a generator may decide how many there are."""
        self.rate, self._due, self._stopped = rate, time.monotonic(), False
        numbered = iter(enumerate(rows, first_index))
        outcomes: list[RequestOutcome] = []

        async def client() -> None:
            while await self._next_due() and (following := next(numbered, None)) is not None:
                outcome = await self._one(phase, *following)
                outcomes.append(outcome)
                on_result(outcome)

        await asyncio.gather(*(client() for _ in range(self.concurrency)))
        return sorted(outcomes, key=lambda outcome: outcome.row_index)

    def stop(self) -> None:
        """End `send` after the requests on their way."""
        self._stopped = True

    async def drain(self, timeout_s: float = 60.0) -> bool:
        """Wait until all feedback is given or has failed for good. Return False where some is still open at the end."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=timeout_s)
        return not self._pending

    async def close(self) -> None:
        """Drop pending feedback and close the connections."""
        for task in list(self._pending):
            task.cancel()
        await asyncio.gather(*self._pending, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    def labels(self, phase: Phase, index: int) -> bool:
        """Check that the client of this row will give a label."""
        return self._chance("label", phase, index) < self.feedback_share

    def streams(self, phase: Phase, index: int) -> bool:
        """Check that this row's answer is streamed."""
        return self._chance("stream", phase, index) < self.streamed_share

    async def _next_due(self) -> bool:
        """Wait for the next request's time. Return False when there shall be none."""
        while not self._stopped:
            now = time.monotonic()
            if self.rate is None:
                return True
            if self.rate > 0:
                self._due = max(self._due, now - 1.0)
                if now >= self._due:
                    self._due += 1.0 / self.rate
                    return True
            await asyncio.sleep(min(POLL_S, max(self._due - now, 0.001)) if self.rate else POLL_S)
        return False

    async def _one(self, phase: Phase, index: int, row: LabelledRow) -> RequestOutcome:
        client = f"client-{int(self._chance('client', phase, index) * CLIENTS):02d}"
        streamed = self.streams(phase, index)
        sent_ms = now_ms()
        try:
            reply = await ask(self._connected(), self._url("chat/completions"), self._body(row, client, streamed))
            error = ""
        except Unanswered as unanswered:
            reply, error = unanswered.reply, str(unanswered)
        outcome = _outcome(phase, index, client, sent_ms, streamed, row, reply, error)
        if not outcome.failed and outcome.request_id and self.labels(phase, index):
            self._later(self._give_label(outcome, row))
        return outcome

    def _body(self, row: LabelledRow, client: str, streamed: bool) -> dict[str, object]:
        return {
            "model": self.alias,
            "messages": row.asked,
            **row.request,
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "user": client,
            "stream": streamed,
        }

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _give_label(self, outcome: RequestOutcome, row: LabelledRow) -> None:
        """Give the label after a while; try again where the gateway cannot take it now."""
        low, high = self.feedback_delay_s
        await asyncio.sleep(low + (high - low) * self._chance("delay", outcome.phase, outcome.row_index))
        self.feedback.sent += 1
        problem = ""
        for attempt in range(FEEDBACK_TRIES):
            status, problem = await self._post_feedback({"request_id": outcome.request_id, "label": row.label})
            if 200 <= status < 300:
                self.feedback.accepted += 1
                return
            if 400 <= status < 500 and status not in (408, 429):
                break
            await asyncio.sleep(FEEDBACK_PAUSE_S * 2**attempt)
        self.feedback.failed += 1
        if len(self.feedback.errors) < 10:
            self.feedback.errors.append(problem)

    async def _post_feedback(self, body: dict[str, str]) -> tuple[int, str]:
        try:
            async with self._connected().post(self._url("feedback"), json=body) as answer:
                return answer.status, f"{answer.status}: {(await answer.text())[:200]}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, f"{type(error).__name__}: {error}"

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"authorization": f"Bearer {self.key}"},
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S),
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            )
        return self._session

    def _url(self, path: str) -> str:
        return f"{self.base_url.rstrip('/').removesuffix('/v1')}/v1/{path}"

    def _chance(self, what: str, phase: Phase, index: int) -> float:
        """Return a number in [0, 1) that is always the same for the same row."""
        digest = hashlib.sha256(f"{self.seed}/{what}/{phase}/{index}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


def _outcome(
    phase: Phase, index: int, client: str, sent_ms: int, streamed: bool, row: LabelledRow, reply: ChatReply, error: str
) -> RequestOutcome:
    right = bool(exact_match(reply.text, row.label)) if reply.status == 200 and not error else None
    return RequestOutcome(
        row_index=index,
        phase=phase,
        client=client,
        sent_ms=sent_ms,
        answered_ms=now_ms(),
        status=reply.status,
        streamed=streamed,
        version=reply.version,
        model=reply.model,
        request_id=reply.request_id,
        answer=reply.text,
        correct=right,
        error=error,
    )
