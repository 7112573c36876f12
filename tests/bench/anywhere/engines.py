"""The engines behind the side-cars of this bench, and whether a reply is by the version that it names.

Fakes answer at once and end each answer with the version that gave it. vLLM serves the tests' small Llama, whose
adapters answer each question in words of their own: what they are is asked of the engines before anything else runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from deploy.stack.engine import EngineProcess, answers_ok
from deploy.stack.settings import StackSettings
from retrain.adapters import Adapter
from retrain.training.prompting import chat_template_for
from tests.bench.serving.answers import QUESTIONS, Texts, asked, texts
from tests.bench.serving.kills import misnamed
from tests.bench.serving.pair import STACK
from tests.serving.support.fleet import EngineKind, FleetMember
from tests.serving.support.load import request
from tests.serving.support.log_records import ALIAS
from tests.serving.support.traffic import Attempt
from tests.support import tiny_model as tiny

BODY = {"model": ALIAS, "messages": [{"role": "user", "content": "Where is my card?"}], "signed": True}


class Engines(Protocol):
    """What a part of this bench asks, and how it knows who answered."""

    @property
    def kind(self) -> EngineKind:
        """What is started."""

    @property
    def adapters(self) -> Mapping[str, str] | None:
        """Those in the store, by version; None: the fleet makes its own."""

    def requests(self, key: str) -> list[bytes]:
        """The questions of its clients."""

    def misnamed(self, attempt: Attempt) -> bool:
        """Whether header, body and words name several versions."""


@dataclass(frozen=True, slots=True)
class Fakes:
    """Engines that answer at once."""

    kind: EngineKind = field(default_factory=EngineKind)
    adapters: Mapping[str, str] | None = None

    def requests(self, key: str) -> list[bytes]:
        return [request("/v1/chat/completions", BODY, key)]

    def misnamed(self, attempt: Attempt) -> bool:
        return misnamed(attempt)


class Llamas:
    """Two vLLM with the tests' small Llama, each on a core of its own where there are two."""

    def __init__(self, folder: Path) -> None:
        self._model = tiny.model(folder / "model")
        self._made: Sequence[Adapter] = [
            tiny.adapter(seed, self._model, folder, ALIAS, folder / "new") for seed in range(2)
        ]
        self._settings = StackSettings(**{**STACK, "model": self._model})  # type: ignore[arg-type]
        self._expected: Texts = {}
        self.adapters: Mapping[str, str] = {each.version: each.digest for each in self._made}
        stack = {**STACK, "model": str(self._model)}
        self.kind = EngineKind(
            self._command, lambda port: answers_ok(f"http://127.0.0.1:{port}/health"), stack, self._begin
        )

    def requests(self, key: str) -> list[bytes]:
        return [asked(QUESTIONS[i], ALIAS, key) for i in self._telling]

    def misnamed(self, attempt: Attempt) -> bool:
        words = self._expected.get(attempt.version, {}).get(self._telling[attempt.question])
        return attempt.body["model"] != attempt.version or attempt.text != words

    @property
    def _telling(self) -> list[int]:
        return sorted(next(iter(self._expected.values())))

    def _begin(self, ports: Sequence[int]) -> None:
        self._expected = asyncio.run(texts(ports, self._made))

    def _command(self, member: FleetMember) -> tuple[Sequence[str], Mapping[str, str]]:
        template = chat_template_for(self._model)
        process = EngineProcess(self._model, member.engine_port, "cpu", self._settings, template)
        return process.command(), process.environment()
