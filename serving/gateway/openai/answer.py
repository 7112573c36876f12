"""An engine's answer, as far as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

from monitor.characters import blank
from serving.gateway.openai.request_body import Fields

ENDED = ("stop", "completed")  # of chats and completions, and of responses
THOUGHT = (  # before reasoning that no parser of the engine took out
    *("<think>", "<thinking>", "[THINK]", "<seed:think>", "<thought>", "<reasoning>", "<scratchpad>"),
    *("<|begin_of_thought|>", "<|START_THINKING|>", "\u25c1think\u25b7", "<|channel|>analysis", "<unused94>thought"),
)
ANSWER = (  # and behind it
    *("</think>", "</thinking>", "[/THINK]", "</seed:think>", "</thought>", "</reasoning>", "</scratchpad>"),
    *("<|end_of_thought|>", "<|END_THINKING|>", "\u25c1/think\u25b7", "<|channel|>final", "<unused95>"),
)
BRACKETS = ("<", "[", "\u25c1")  # with which all of them begin


@dataclass(slots=True)
class CollectedAnswer:
    """An engine's answer so far; a stream's grows with its chunks."""

    parts: list[str] = field(default_factory=list)
    pieces: int = 0  # that came, of any kind: text, reasoning, calls
    beyond: bool = False  # there is more than understood text: a call, a refusal, audio; or the engine gave up
    thinks: bool = False  # there is reasoning
    choices: int = 0
    finish_reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    logprobs: list[float] = field(default_factory=list)
    failed: bool = False  # the engine sent an error in the midst of a stream
    complete: bool = False  # a stream's last event has come
    held: list[Fields] = field(default_factory=list)  # a stream's closing chunks, until its usage is known

    @property
    def text(self) -> str:
        """Return the first choice's text."""
        return "".join(self.parts)

    @property
    def plain(self) -> bool:
        """Return whether it is one text and nothing else, so that a label can be compared with it. A model that ended
        by itself without a token gave an empty text; one that reasoned, or was cut off, did not come to it."""
        empty = all(map(blank, self.parts))
        if self.choices != 1 or self.beyond:
            return False
        return not self.thinks and self.ended if empty else not self._thinks_aloud

    @property
    def _thinks_aloud(self) -> bool:
        text = self.text
        if not any(bracket in text for bracket in BRACKETS):
            return False
        return text.lstrip().startswith(THOUGHT) or any(mark in text for mark in ANSWER)

    @property
    def ended(self) -> bool:
        """Return whether the model ended by itself."""
        return self.finish_reason in ENDED
