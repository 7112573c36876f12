"""A judge model as a metric: it reads a rubric, and gives each answer a score from 0 to 1."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import aiohttp
import structlog

from streams.scoring.judge_client import Asked, JudgeClient
from streams.scoring.judge_memory import JudgeMemory
from streams.scoring.prompt import filled, prompt, text
from streams.scoring.rows import AnsweredRow, Unjudged
from streams.scoring.settings import ByRubric

log = structlog.get_logger()

DAY_S = 86_400


class RubricGrader:
    """The judge of one alias, with its rubric, its memory and its budget."""

    def __init__(
        self,
        settings: ByRubric,
        alias: str,
        memory: Path,
        *,
        at: str = "",
        environment: Mapping[str, str] = os.environ,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Read rubric, prompt and key. Raise ValueError naming the setting where one cannot be read."""
        at = at or f"scoring.metrics.{alias}"
        self._settings, self._alias, self._now_s = settings, alias, now_s
        self._rubric = text(settings.rubric, f"{at}.rubric")
        self._prompt = prompt(settings.prompt, f"{at}.prompt")
        self._client = JudgeClient(settings, api_key(settings, at, environment))
        self._memory = JudgeMemory(memory)
        self._away_until_s = 0.0
        self._logged: set[Unjudged] = set()

    async def scores(self, rows: Sequence[AnsweredRow]) -> list[float | Unjudged]:
        """Return each row's score. Rows that ask the judge the same are asked once, ever."""
        try:
            prompts, known = await asyncio.to_thread(self._looked_up, rows)
        except sqlite3.Error as error:
            self._note(_forgetful(error))
            return [Unjudged.AWAY] * len(rows)
        found: dict[bytes, float | Unjudged] = dict(known)
        new = {digest: each for digest, each in prompts if digest not in found}
        found |= await self._asked(new) if new else {}
        return [found[digest] for digest, _ in prompts]

    def _looked_up(self, rows: Sequence[AnsweredRow]) -> tuple[list[tuple[bytes, str]], dict[bytes, float]]:
        """Return each row's prompt with its digest, and the scores that are known. Texts may be long: not on the
        event loop."""
        prompts = [filled(self._prompt, self._rubric, row) for row in rows]
        digests = [self._digest(each) for each in prompts]
        return list(zip(digests, prompts, strict=True)), self._memory.known(digests)

    async def _asked(self, prompts: Mapping[bytes, str]) -> dict[bytes, float | Unjudged]:
        slots = asyncio.Semaphore(self._settings.concurrency)

        async def ask(digest: bytes, prompt: str) -> float | Unjudged:
            async with slots:
                if self._now_s() < self._away_until_s:
                    return Unjudged.AWAY
                try:
                    found = await self._client.ask(session, prompt, self._paid)
                    await asyncio.to_thread(self._keep, digest, found)
                except sqlite3.Error as error:
                    found = _forgetful(error)
            self._note(found)
            return found.score

        async with aiohttp.ClientSession() as session:
            scores = await asyncio.gather(*(ask(digest, each) for digest, each in prompts.items()))
        return dict(zip(prompts, scores, strict=True))

    def _paid(self) -> bool:
        limits = self._settings
        return self._memory.take(self._alias, self._day(), calls=limits.calls_per_day, tokens=limits.tokens_per_day)

    def _keep(self, digest: bytes, found: Asked) -> None:
        if found.tokens:
            self._memory.pay(self._alias, self._day(), found.tokens)
        if not isinstance(found.score, Unjudged):
            self._memory.keep(digest, found.score, self._day())

    def _note(self, found: Asked) -> None:
        """Remember that the judge is away; log each reason once, until the judge answers again."""
        if not isinstance(found.score, Unjudged):
            self._logged.clear()
            return
        if found.score is Unjudged.AWAY:
            self._away_until_s = self._now_s() + self._settings.again_s
        if found.score not in self._logged:
            self._logged.add(found.score)
            log.warning("the judge gives no score", alias=self._alias, why=found.score, detail=found.detail)

    def _digest(self, prompt: str) -> bytes:
        judge = f"{self._settings.url}\0{self._settings.model}\0{sorted(self._settings.body.items())}\0"
        return blake2b(f"{judge}{prompt}".encode(errors="surrogatepass"), digest_size=16).digest()

    def _day(self) -> int:
        return int(self._now_s() // DAY_S)


def _forgetful(error: sqlite3.Error) -> Asked:
    """Without its memory there is no budget either: nothing is asked."""
    return Asked(Unjudged.AWAY, f"the judge's memory cannot be used: {error}")


def api_key(settings: ByRubric, at: str, environment: Mapping[str, str]) -> str:
    """Return the judge's key, of its file or of the environment; empty where there is none. Raise ValueError where the
    file has none, or what is there cannot be one."""
    named = f"{at}.key_file" if settings.key_file else f"{at}.key_env"
    key = text(settings.key_file, named) if settings.key_file else environment.get(settings.key_env, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"{named} is {str(settings.key_file or settings.key_env)!r}, expected one line of ASCII there")
    return key
