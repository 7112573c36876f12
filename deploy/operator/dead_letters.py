"""What an operator does about dead letters: see which there are, read one, put them back once they can be read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime

from streams import dead_letters as dlq
from streams.events import DeadLetter
from streams.log.append import Appender
from streams.log.settings import KafkaSettings

SHOWN = 4_000  # characters of a value


def place(letter: DeadLetter) -> str:
    """Its name for people: where the record was that nobody could read."""
    return f"{letter.source_topic}/{letter.partition}/{letter.offset}"


def every(kafka: KafkaSettings, topics: Iterable[str] = ()) -> list[DeadLetter]:
    """Those of the topics, or of all that have a queue. LookupError for a topic without one."""
    sources = [dlq.named(name) for name in list(topics) or dlq.SOURCES]
    return [record.event for source in sources for record in dlq.letters(kafka, source)]


def chosen(kafka: KafkaSettings, places: Iterable[str]) -> list[DeadLetter]:
    """Those letters, in the order asked. ValueError for what is no place, LookupError for one without a letter."""
    wanted = {each: _topic(each) for each in places}
    known = {place(letter): letter for letter in every(kafka, dict.fromkeys(wanted.values()))}
    for each in wanted:
        if each not in known:
            raise LookupError(f"there is no dead letter {each}; `homeostat dlq list` names all")
    return [known[each] for each in wanted]


def told(letter: DeadLetter) -> str:
    """All of it, for a person; bytes that are no text as escapes."""
    value = dlq.value(letter)
    text = value.decode("utf-8", "backslashreplace")
    rest = f"\n... {len(text) - SHOWN} more characters" if len(text) > SHOWN else ""
    return (
        f"record   {place(letter)}\nwritten  {_clock(letter.time_ms)}\nreason   {letter.reason}\n"
        f"value    {len(value)} bytes\n\n{text[:SHOWN]}{rest}"
    )


def line(letter: DeadLetter) -> str:
    """One line of a list."""
    return f"{place(letter)}  {_clock(letter.time_ms)}  {letter.reason}"


def put_back(kafka: KafkaSettings, letters: Iterable[DeadLetter]) -> tuple[int, list[str]]:
    """How many, and why the others could not be."""
    with closing(Appender(kafka, "cli")) as appender:
        return dlq.replay(appender, letters)


def _topic(name: str) -> str:
    parts = name.rsplit("/", 2)
    if len(parts) != 3 or not parts[1].isdecimal() or not parts[2].isdecimal():
        raise ValueError(f"place is {name!r}, expected TOPIC/PARTITION/OFFSET as `homeostat dlq list` prints it")
    return parts[0]


def _clock(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
