"""An exchange: one request, the replica that was chosen for it, its answer so far, and when each part came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.characters import blank
from serving.gateway.openai.answer import CollectedAnswer
from serving.gateway.openai.coercion import is_off
from serving.gateway.openai.request_body import ParsedRequest
from serving.gateway.openai.responses_api import Rename
from serving.routes.routing import Choice


@dataclass(slots=True)
class Exchange:
    """One request on its way. Times are in seconds, of a clock that only goes forward."""

    event_id: str
    asked: ParsedRequest
    client: str
    tags: Mapping[str, str]
    began_s: float
    choice: Choice | None = None
    answer: CollectedAnswer = field(default_factory=CollectedAnswer)
    first_s: float | None = None  # a stream's first token, be it text, reasoning or a call's
    last_s: float | None = None  # and its last one
    ended_s: float = 0.0
    status: int = 0
    complete: bool = False  # everything is on its way to the client, who may close now
    captured: bool = False
    mirrors: str = ""  # the event whose question this shadow was asked
    user: str = ""  # the end user, as the client named it
    conversation: str = ""  # a pseudonym
    drawn: str = ""  # by which the arm is drawn: a pseudonym, else the event's own id
    rename: Rename | None = None  # gives a response the id that its client gets; None where there is no client
    tenant: str = ""  # a pseudonym: by whose key private values are masked
    masked: str | None = None  # what a label is compared with, masked, once it was asked for
    _plain: bool | None = None  # once `comparable` was read

    @property
    def drawn_for_more(self) -> bool:
        """Return whether other requests have the same arm: those of a conversation or an end user, and those that go on
        after a response."""
        return self.drawn not in ("", self.event_id)

    @property
    def latency_s(self) -> float:
        """Return the time from the request to the whole answer."""
        return self.ended_s - self.began_s

    @property
    def comparable(self) -> bool:
        """Return whether a label can be compared with the answer: one text, or calls, whole, without the question. To
        be read once the answer is there."""
        if self._plain is None:
            self._plain = self.answer.plain and is_off(self.asked.known.echo) and not self._hides
        return self.status == 200 and self._plain

    @property
    def _hides(self) -> bool:
        """Return whether all of an empty answer may be reasoning, which the client did not want to see."""
        wanted = self.asked.known.include_reasoning
        return wanted is not None and is_off(wanted) and blank(self.answer.compared)

    @property
    def ttft_s(self) -> float:
        """Return the time to the first token; to the whole reply where it was not streamed."""
        return self.latency_s if self.first_s is None else self.first_s - self.began_s

    @property
    def tpot_s(self) -> float:
        """Return the time per output token after the first; 0 where unknown."""
        tokens = self.answer.output_tokens
        if self.first_s is None or self.last_s is None or tokens < 2:
            return 0.0
        return (self.last_s - self.first_s) / (tokens - 1)
