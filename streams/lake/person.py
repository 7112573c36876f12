"""A person as rows name them, without the name: a digest that can be compared in Python and in SQL.

A row's client is an API key's id, or that and a pseudonym: `key/pseudonym`. An erasure says which part it is about, and
keeps no more of it than a salted sha256. So neither its record nor a table's own log has the identifier, and an
operator who has the identifier can still look up whether it was forgotten. The salt is the order's own: two orders do
not show that they are about one person."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from typing import Literal

import msgspec

PartOfClient = Literal["key", "pseudonym", "whole"]
PLACES = {"key": "split_part(client, '/', 1)", "pseudonym": "split_part(client, '/', 2)", "whole": "client"}
CONVERSATIONS = {"pseudonym": "conversation", "whole": "concat(split_part(client, '/', 1), '/', conversation)"}
HEX = 16  # bytes of a salt


class ErasedPerson(msgspec.Struct, frozen=True):
    """Whose rows go: those whose client has, in this part, a value with this digest.

    >>> ann = ErasedPerson.of("pseudonym", "3fa9", salt="00")
    >>> ann.asked("app/3fa9"), ann.asked("shop/3fa9"), ann.asked("3fa9"), ann.asked("app/77c0")
    (True, True, False, False)
    >>> app = ErasedPerson.of("key", "app", salt="00")
    >>> app.asked("app"), app.asked("app/3fa9"), app.asked("app2/3fa9")
    (True, True, False)
    >>> chat = ErasedPerson.of("whole", "app/c1", salt="00", conversation=True)
    >>> chat.asked("app/3fa9", "c1"), chat.asked("shop/3fa9", "c1"), chat.asked("app/c1")
    (True, False, True)
    """

    part: PartOfClient
    salt: str
    digest: str
    conversation: bool = False  # whether it is a conversation's pseudonym: rows have one, whoever their client is

    @classmethod
    def of(cls, part: PartOfClient, value: str, salt: str = "", *, conversation: bool = False) -> ErasedPerson:
        """Return the person with this value in that part of a client; without a salt, under a new one. Raise ValueError
        where the value cannot stand there."""
        if not value or (part != "whole" and "/" in value):
            raise ValueError(f"{part} is {value!r}, expected a text without '/' that is not empty")
        salt = salt or secrets.token_hex(HEX)
        return cls(part, salt, _digest(salt, value), conversation)

    def has(self, value: str) -> bool:
        """Return whether this is the value that the person was named by."""
        return _digest(self.salt, value) == self.digest

    def asked(self, client: str, conversation: str = "") -> bool:
        """Return whether a row with this client, and of this conversation, is the person's."""
        key, _, pseudonym = client.partition("/")
        named = self.conversation and self.has(f"{key}/{conversation}" if self.part == "whole" else conversation)
        return named or self.has({"key": key, "pseudonym": pseudonym, "whole": client}[self.part])

    def gave(self, by: str) -> bool:
        """Return whether feedback by this key is the person's: the key is all that feedback names."""
        return self.part == "key" and self.has(by)

    def condition(self, columns: Collection[str]) -> str:
        """Return `asked` in SQL, for a table with these columns; of a conversation, what it says of rows with a user
        too."""
        places = [PLACES[self.part]]
        if self.conversation and "conversation" in columns:
            places.append(CONVERSATIONS[self.part])
        return f"({' OR '.join(map(self._is, places))})"

    def _is(self, place: str) -> str:
        return f"encode(sha256(concat('{self.salt}', {place})), 'hex') = '{self.digest}'"


def _digest(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}{value}".encode()).hexdigest()
