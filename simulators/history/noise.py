"""Random numbers by place, not by order: the same for ever for (seed, name, what, index).

A generator that is drawn from in turn would make every meter depend on those before it, and every day on the days
before. Here a number is a hash of its place (splitmix64), so that whole arrays of them are made at once and any of
them can be made alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from simulators.load_curves import Floats

Keys = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_LOW: Final = np.uint64(0xFFFFFFFF)
_OF_32_BITS: Final = 2.0**-32


def keys(seed: int, names: Iterable[str], what: str) -> Keys:
    """One key a name, shape (names,)."""
    digests = (hashlib.blake2b(f"{seed}/{name}/{what}".encode(), digest_size=8).digest() for name in names)
    return np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)


def uniform(of: Keys, index: Indices) -> Floats:
    """Between 0 and 1, ends excluded, shape (index, names)."""
    return np.asarray(((_hash(of, index) >> np.uint64(32)) + 0.5) * _OF_32_BITS, dtype=np.float64)


def normal(of: Keys, index: Indices) -> Floats:
    """Mean 0, deviation 1 (Box-Muller), shape (index, names)."""
    bits = _hash(of, index)
    radius = np.sqrt(-2 * np.log(((bits >> np.uint64(32)) + 0.5) * _OF_32_BITS))
    return np.asarray(radius * np.cos((bits & _LOW) * (2 * np.pi * _OF_32_BITS)), dtype=np.float64)


def _hash(of: Keys, index: Indices) -> Keys:
    bits = of[None, :] + index.astype(np.uint64)[:, None] * _STEP
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return np.asarray(bits ^ (bits >> np.uint64(31)), dtype=np.uint64)
