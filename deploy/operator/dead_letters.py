"""Dead letters for an operator: list them, show one, choose those to put back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deploy.show.times import clock
from streams.events import DeadLetter
from streams.log import dead_letters as queues
from streams.log.settings import KafkaSettings

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # by terminals; tabs and ends of lines are text
SHOWN = 4_000  # characters of a value


def place(letter: DeadLetter) -> str:
    """Return the place of the unreadable record, by which people name the letter."""
    return f"{letter.source_topic}/{letter.partition}/{letter.offset}"


def every(kafka: KafkaSettings, topics: Iterable[str] = ()) -> list[DeadLetter]:
    """List the letters of the topics, or of all that have a queue. Raise LookupError for a topic without one."""
    sources = [queues.named(name) for name in list(topics) or queues.SOURCES]
    return [record.event for source in sources for record in queues.letters(kafka, source)]


def chosen(kafka: KafkaSettings, places: Iterable[str]) -> list[DeadLetter]:
    """Return the letters at these places, in their order. Raise ValueError for a text that is no place, LookupError for
    a place without a letter."""
    wanted = {each: _topic(each) for each in places}
    known = {place(letter): letter for letter in every(kafka, dict.fromkeys(wanted.values()))}
    for each in wanted:
        if each not in known:
            raise LookupError(f"there is no dead letter {each}; `homeostat dlq list` names all")
    return [known[each] for each in wanted]


def describe(letter: DeadLetter) -> str:
    """Return all of the letter as text; bytes that are no text are escaped, and what a terminal would obey."""
    value = queues.value(letter)
    text = value.decode("utf-8", "backslashreplace")
    rest = f"\n... {len(text) - SHOWN} more characters" if len(text) > SHOWN else ""
    return (
        f"record   {place(letter)}\nwritten  {clock(letter.time_ms)}\nreason   {_inert(letter.reason)}\n"
        f"value    {len(value)} bytes\n\n{_inert(text[:SHOWN])}{rest}"
    )


def line(letter: DeadLetter) -> str:
    """Return the letter as one line of a list."""
    return f"{place(letter)}  {clock(letter.time_ms)}  {_inert(letter.reason)}"


def _inert(text: str) -> str:
    return OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _topic(name: str) -> str:
    parts = name.rsplit("/", 2)
    if len(parts) != 3 or not parts[1].isdecimal() or not parts[2].isdecimal():
        raise ValueError(f"place is {name!r}, expected TOPIC/PARTITION/OFFSET as `homeostat dlq list` prints it")
    return parts[0]
