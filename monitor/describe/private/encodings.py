"""Signs that are written in another way: in links (`%40`), in pages (`&commat;`), in programs (`\\u0040`)."""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from dataclasses import dataclass
from urllib.parse import unquote

_HEX = "[0-9A-Fa-f]"
_AGAIN = "{0,4}"  # times that a text was encoded once more
_LINK = rf"%(?:25){_AGAIN}(?:[2-7]{_HEX}|0[9AaDd]|[C-Dc-d]{_HEX}%(?:25){_AGAIN}[89ABab]{_HEX})"
_PAGE = rf"&(?:amp;){_AGAIN}(?:#0{{0,6}}[1-9][0-9]{{1,4}};?|#[xX]0{{0,6}}{_HEX}{{2,4}};?|[A-Za-z]{{2,10}};)"
_PROGRAM = rf"\\{{1,8}}(?:u(?![dD][89A-Fa-f]){_HEX}{{4}}|x[2-7]{_HEX})"
_ENCODED = re.compile(f"{_LINK}|{_PAGE}|{_PROGRAM}")
_TWICE = re.compile("%(?:25)+")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text as it is meant, and where its characters stand in the one that was written."""

    text: str
    _ends: tuple[int, ...] = ()  # behind each sign that was encoded
    _shifts: tuple[int, ...] = (0,)  # by how much what is behind so many of them stands further on as it was written

    def place(self, at: int) -> int:
        """Return where the character stands in the text that was written."""
        return at + self._shifts[bisect_right(self._ends, at)]


def decoded(text: str) -> Decoded:
    r"""Return the text with its signs as they are meant, however often they were encoded.

    >>> decoded("ann%2540x.org").text, decoded("ann&amp;#64;x.org").text, decoded("ann\\u0040x.org").text
    ('ann@x.org', 'ann@x.org', 'ann@x.org')
    >>> decoded("a%40b").place(2)
    4
    """
    if _is_plain(text):
        return Decoded(text)
    parts, ends, shifts, at, size = [], [], [0], 0, 0
    for found in _ENCODED.finditer(text):
        sign = _sign(found.group())
        parts += [text[at : found.start()], sign]
        size += found.start() - at + len(sign)
        at = found.end()
        ends.append(size)
        shifts.append(at - size)
    return Decoded("".join([*parts, text[at:]]), tuple(ends), tuple(shifts)) if ends else Decoded(text)


def meant(text: str) -> str:
    """Return the text with its signs as they are meant, see `decoded`."""
    return text if _is_plain(text) else decoded(text).text


def _is_plain(text: str) -> bool:
    return "%" not in text and "&" not in text and "\\" not in text


def _sign(written: str) -> str:
    if written.startswith("%"):
        return unquote(_TWICE.sub("%", written) if len(written) > len("%25") else written)
    if written.startswith("&"):
        return html.unescape(written.replace("amp;", "") if len(written) > len("&amp;") else written)
    return chr(int(written.lstrip("\\")[1:], 16))
