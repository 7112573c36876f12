"""Excerpts of texts that are too long for an event: the first and the last ones, of each long one its begin and its
end, private data masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

MARGIN = 4_096  # masked and dropped at a cut: half of a secret would not be known for one
EACH = 128  # characters that a text counts for on top of its own: masking many short ones takes its time too

Mask = Callable[[str], str]


def excerpts(texts: Sequence[str], most: int, mask: Mask) -> list[str | None]:
    """Return the texts masked, together of about `most` characters; None for one that is left out.

    >>> excerpts(["first", "x" * 40_000, "y" * 40_000, "last"], 400, str.strip)
    ['first', None, None, 'last']
    >>> print(excerpts(["x" * 40_000], 4, str.strip)[0])
    xx
    [39996 characters left out]
    xx
    """
    if fits(texts, most):
        return [mask(text) for text in texts]
    sizes = [len(text) + EACH for text in texts]
    kept, share = _kept(sizes, most), most if len(texts) == 1 else most // 2
    return [_excerpt(text, share, mask) if i in kept else None for i, text in enumerate(texts)]


def fits(texts: Sequence[str], most: int) -> bool:
    """Return whether nothing of them is left out."""
    return sum(map(len, texts)) + EACH * (len(texts) - 1) <= most


def _kept(sizes: Sequence[int], most: int) -> set[int]:
    """Return the first, the last, and as many before the last as there is room for."""
    kept, last = {0, len(sizes) - 1}, len(sizes) - 1
    room = most - sum(min(sizes[i], most // 2) for i in kept)
    for i in range(last - 1, 0, -1):
        room -= sizes[i]
        if room < 0:
            break
        kept.add(i)
    return kept


def _excerpt(text: str, most: int, mask: Mask) -> str:
    if len(text) <= most:
        return mask(text)
    half, left = most // 2, len(text) - 2 * (most // 2)
    if left <= 2 * MARGIN:  # where the margins meet nothing is saved
        masked = mask(text)
        return f"{masked[:half]}\n[{left} characters left out]\n{masked[len(masked) - half :]}"
    begin, end = mask(text[: half + MARGIN]), mask(text[len(text) - half - MARGIN :])
    return f"{begin[:-MARGIN]}\n[{left} characters left out]\n{end[MARGIN:]}"
