"""Terms by which a request names a group, in a TOML file, and the same request with another group's term. Pure but for
reading the file.

    [gender]
    women = ["she", "woman", "Mrs"]
    men = ["he", "man", "Mr"]

The terms of a tag's groups stand for each other by their place. A request that names terms of several groups of a tag
is not swapped: it is not known whose it is."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from monitor.characters import caseless
from retrain.data.example import Example
from streams.files import utf8
from streams.messages import Message

OPERATORS = frozenset({"system", "developer"})  # roles whose words are not the client's: they stay


class SwappedRow(NamedTuple):
    """A row asked again as another group's: whose it was, and whose it is."""

    row: Example
    group: str
    other: str


@dataclass(frozen=True, slots=True)
class GroupTerms:
    """The terms of a tag's groups, by group."""

    tag: str
    groups: Mapping[str, Sequence[str]]

    def swapped(self, row: Example) -> SwappedRow | None:
        """Return the row as another group's; None where it names no group of the tag, or several. Of several other
        groups one is drawn by the row's id.

        >>> terms = GroupTerms("gender", {"women": ["she", "Mrs"], "men": ["he", "Mr"]})
        >>> asked = Example(id="1", messages=[Message("user", "She wrote to MRS Hay.")], completion="she", source="")
        >>> found = terms.swapped(asked)
        >>> found.row.text, found.row.completion, found.group, found.other
        ('He wrote to MR Hay.', 'he', 'women', 'men')
        """
        texts = [each.content for each in row.messages if each.role not in OPERATORS]
        named = [group for group in self.groups if any(self._pattern(group).search(text) for text in texts)]
        if len(named) != 1:
            return None
        (group,) = named
        others = sorted(set(self.groups) - {group})
        other = others[hashlib.sha256(f"{self.tag}\0{row.id}".encode()).digest()[0] % len(others)]
        messages = [
            each
            if each.role in OPERATORS
            else Message(each.role, self.swap(each.content, group, other), each.tool_calls, each.tool_call_id)
            for each in row.messages
        ]
        completion = self.swap(row.completion, group, other)
        return SwappedRow(replace(row, id=f"{row.id}/{other}", messages=messages, completion=completion), group, other)

    def swap(self, text: str, group: str, other: str) -> str:
        """Return the text with the terms of `other` for those of `group`, written large where these were."""
        places = {caseless(term): place for place, term in enumerate(self.groups[group])}
        wanted = self.groups[other]
        return self._pattern(group).sub(
            lambda found: _like(found.group(), wanted[places[caseless(found.group())]]), text
        )

    def _pattern(self, group: str) -> re.Pattern[str]:
        longest_first = sorted(self.groups[group], key=len, reverse=True)
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)


def read_terms(file: str) -> list[GroupTerms]:
    """Return the terms of a file; none where no file is named. Raise ValueError that names file, tag, group and what
    was expected; OSError."""
    if not file:
        return []
    path = Path(file)
    try:
        found = tomllib.loads(utf8(path.read_bytes()))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: {error}; expected a table for each tag, of groups and their terms") from error
    if not found:
        raise ValueError(f"{path}: no tags, expected a table for each, such as [gender]")
    return [_terms(f"{path}: {tag}", tag, groups) for tag, groups in found.items()]


def _terms(at: str, tag: str, groups: object) -> GroupTerms:
    if not isinstance(groups, dict) or len(groups) < 2:
        raise ValueError(f"{at} is {groups!r}, expected a table of two groups or more")
    for name, terms in groups.items():
        if not isinstance(terms, list) or not terms or not all(isinstance(t, str) and t.strip() for t in terms):
            raise ValueError(f"{at}.{name} is {terms!r}, expected a list of terms")
    sizes = {name: len(terms) for name, terms in groups.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{at} has {sizes} terms, expected as many for each group: they stand for each other by place")
    known = [caseless(term) for terms in groups.values() for term in terms]
    if twice := sorted({term for term in known if known.count(term) > 1}):
        raise ValueError(f"{at} has {twice[0]!r} twice, expected each term in one place")
    return GroupTerms(tag, groups)


def _like(given: str, wanted: str) -> str:
    """Return a term written as the one whose place it takes."""
    if given.isupper() and len(given) > 1:
        return wanted.upper()
    return wanted[:1].upper() + wanted[1:] if given[:1].isupper() else wanted
