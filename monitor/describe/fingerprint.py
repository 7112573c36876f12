"""Small numbers that stand for an event id or a text: the same on every machine, in every process."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SUMMED = 32  # of the 64 sums that stand for a text's words: enough to estimate how many words differ, to a quarter

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def event_print(event_id: str) -> int:
    """Return 48 bits of the id's BLAKE2b digest."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=6).digest(), "big")


def uniforms(prints: Sequence[int], columns: int) -> NDArray[np.float64]:
    """Return numbers in [0, 1), shape (len(prints), columns): random to the data, yet fixed by the event.

    >>> bool((uniforms([7], 3) == uniforms([8, 7], 3)[1]).all())
    True
    """
    seeds = np.asarray(prints, dtype=np.uint64).reshape(-1, 1)
    bits = _mixed(seeds + _GOLDEN * np.arange(1, columns + 1, dtype=np.uint64)) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def word_hashes(words: Sequence[str]) -> NDArray[np.uint64]:
    """Return 64 random bits for each of the words."""
    hashes = np.fromiter((zlib.crc32(word.encode(errors="replace")) for word in words), np.uint64, len(words))
    return _mixed(hashes + _GOLDEN)


def signs_of(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the bits of each hash as 64 signs, 1 for a positive one, shape (len(hashes), 64)."""
    return np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1)


def sums_of(signs: NDArray[np.uint8], places: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the summed signs, +1 or -1, of the words at `places`, of each run of so many: shape (len(lengths), 64).
    Four counters share one machine integer, so that one addition counts for four: 65,535 words in a run at most.

    >>> signs = signs_of(word_hashes(["my", "card"]))
    >>> sums_of(signs, np.array([0, 1, 1]), np.array([1, 2]))[:, :3].tolist()
    [[1, -1, -1], [-2, -2, -2]]
    """
    lanes = np.ascontiguousarray(signs.astype(np.uint16).view(np.uint64).T)
    starts = np.cumsum(lengths) - lengths
    sums = np.stack([np.add.reduceat(lane[places], starts) for lane in lanes], axis=1)
    found: NDArray[np.int64] = sums.view(np.uint16).astype(np.int64) * 2 - lengths.reshape(-1, 1)
    return found


def text_prints(sums: NDArray[np.int64]) -> list[int]:
    """Return the SimHash (Charikar 2002): each text's 64 sums of its words' signs as one 64-bit number; 0 of none."""
    bits = np.packbits(sums > 0, axis=1)
    return [int.from_bytes(row.tobytes(), "big") for row in bits]


def sum_sketches(sums: NDArray[np.int64]) -> list[bytes]:
    """Return the first sums of the signs of each text's words, two bytes each: the squared distance of two texts is
    about `SUMMED` times the number of words in which they differ, however many they share."""
    held = np.ascontiguousarray(np.clip(sums[:, :SUMMED], -32_768, 32_767).astype("<i2"))
    return [row.tobytes() for row in held]


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed
