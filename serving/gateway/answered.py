"""What is kept of an answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.characters import blank
from serving.gateway.question import Fields


@dataclass(slots=True)
class Answered:
    """A stream's grows with its chunks."""

    parts: list[str] = field(default_factory=list)
    pieces: int = 0  # that came, of any kind: text, reasoning, calls
    beyond: bool = False  # there is more than understood text: a call, a refusal, audio; or the engine gave up
    choices: int = 0
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    logprobs: list[float] = field(default_factory=list)
    failed: bool = False  # the engine said so in the midst of a stream
    complete: bool = False  # a stream's last event has come
    held: list[Fields] = field(default_factory=list)  # a stream's closing chunks, until its usage is known

    @property
    def text(self) -> str:
        """The first choice's text."""
        return "".join(self.parts)

    @property
    def plain(self) -> bool:
        """Whether it is one text and nothing else, so that a label can be compared with it."""
        return self.choices == 1 and not self.beyond and not all(map(blank, self.parts))
