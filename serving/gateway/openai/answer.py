"""What is known of an engine's answer: its choices, its tokens, its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from monitor.canonical import calls, is_json
from monitor.characters import blank
from serving.gateway.openai.request_body import Fields

ENDED = ("stop", "completed")  # of chats and completions, and of responses
CALLED = (*ENDED, "tool_calls", "function_call")  # likewise where the answer is calls
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
class CollectedCall:
    """A call of a tool so far."""

    name: str = ""
    id: str = ""
    pieces: list[str] = field(default_factory=list)  # of its arguments

    @property
    def arguments(self) -> str:
        """Return the arguments as the engine wrote them."""
        return "".join(self.pieces)


@dataclass(slots=True)
class CollectedChoice:
    """One of the answers so far."""

    parts: list[str] = field(default_factory=list)  # of its text
    reasoning: list[str] = field(default_factory=list)  # that can be read, in pieces
    calls: dict[int, CollectedCall] = field(default_factory=dict)  # by their place
    finish_reason: str = ""

    @property
    def text(self) -> str:
        """Return the text."""
        return "".join(self.parts)

    def call(self, place: int) -> CollectedCall:
        """Return the call at that place, begun where it is new."""
        return self.calls.setdefault(place, CollectedCall())


@dataclass(slots=True)
class CollectedAnswer:
    """An engine's answer so far; a stream's grows with its chunks."""

    first: CollectedChoice = field(default_factory=CollectedChoice)
    others: dict[int, CollectedChoice] = field(default_factory=dict)  # by their index
    pieces: int = 0  # that came, of any kind: text, reasoning, calls
    beyond: bool = False  # there is more than understood text and calls: a refusal, audio; or the engine gave up
    thinks: bool = False  # there is reasoning
    choices: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    logprobs: list[float] = field(default_factory=list)  # of the first choice
    failed: bool = False  # the engine sent an error in the midst of a stream
    complete: bool = False  # a stream's last event has come
    held: list[Fields] = field(default_factory=list)  # a stream's closing chunks, until its usage is known

    def choice(self, index: int) -> CollectedChoice:
        """Return the choice of that index, begun where it is new."""
        return self.first if index == 0 else self.others.setdefault(index, CollectedChoice())

    @property
    def all(self) -> list[CollectedChoice]:
        """Return the choices in their order."""
        return [self.first, *(self.others[index] for index in sorted(self.others))]

    @property
    def finish_reason(self) -> str:
        """Return why the first choice ended, in the engine's words."""
        return self.first.finish_reason

    @property
    def compared(self) -> str:
        """Return what a label is compared with: the first choice's text, or its calls in one form."""
        if not self.first.calls:
            return self.first.text
        return calls([(call.name, call.arguments) for call in self.first.calls.values()])

    @property
    def plain(self) -> bool:
        """Return whether it is one text, or calls, and nothing else, so that a label can be compared with it. A model
        that ended by itself without a token gave an empty text; one that reasoned, or was cut off, did not come to
        it."""
        if self.choices != 1 or self.beyond:
            return False
        if self.first.calls:
            return self.finish_reason in CALLED and _whole(self.first.calls.values())
        if self.finish_reason in CALLED and self.finish_reason not in ENDED:
            return False  # it says that it calls, in words that are not understood
        empty = all(map(blank, self.first.parts))
        return not self.thinks and self.ended if empty else not self._thinks_aloud

    @property
    def _thinks_aloud(self) -> bool:
        text = self.first.text
        if not any(bracket in text for bracket in BRACKETS):
            return False
        return text.lstrip().startswith(THOUGHT) or any(mark in text for mark in ANSWER)

    @property
    def ended(self) -> bool:
        """Return whether the model ended by itself."""
        return self.finish_reason in ENDED


def _whole(found: Iterable[CollectedCall]) -> bool:
    """Return whether each call has a name, and arguments that can be read."""
    return all(call.name and (not call.arguments.strip() or is_json(call.arguments)) for call in found)
