"""Which register map a meter probably has, from what it answered when it was read with each.

A map is believed for what it explains: identity registers that fit weigh more than all else; then a credible voltage on
every phase the map has, a credible frequency, a power factor within one, an energy that is no garbage. What a map reads
that cannot be (a voltage of 1e-38 V, a frequency of 0) speaks against it, and so do registers that the meter refuses.
A map of one phase explains less of a meter of three; where two maps explain nearly as much, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

TELLING: Final = frozenset(
    {"voltage_l1", "voltage_l2", "voltage_l3", "frequency", "power_factor", "active_energy_import"}
)
"""What is read to tell maps apart."""

_CLEAR: Final = 2.0  # this much better than the next, and it is the one
_IDENTITY: Final = 100.0
_VOLTAGES: Final = ((80.0, 300.0), (50.0, 70.0))
_FREQUENCIES: Final = (45.0, 65.0)
_MOST_KWH: Final = 1e8
_FACTOR: Final = 1.001


@dataclass(frozen=True, slots=True)
class Heard:
    """What a meter answered when it was read with one map."""

    profile: str
    values: Mapping[str, float | None]  # empty: it answered nothing with this map
    identity: bool | None = (
        None  # whether the identity registers fit; ``None`` if the map has none, or they are refused
    )


@dataclass(frozen=True, slots=True)
class Guess:
    """One candidate."""

    profile: str
    score: float
    reasons: tuple[tuple[str, str], ...]  # key of the table of words, and what fills its blank


def ranking(heard: Iterable[Heard]) -> list[Guess]:
    """The maps that explain anything, the best first; of equals, by name."""
    guesses = [guess for one in heard if (guess := _judged(one)).score > 0]
    return sorted(guesses, key=lambda guess: (-guess.score, guess.profile))


def candidates(guesses: list[Guess]) -> list[Guess]:
    """The best, and those that are nearly as good: more than one means that nobody can tell."""
    return [guess for guess in guesses if guesses[0].score - guess.score < _CLEAR]


def _judged(heard: Heard) -> Guess:
    score = 0.0
    reasons: list[tuple[str, str]] = []
    if heard.identity is not None:
        score += _IDENTITY if heard.identity else -_IDENTITY
    if heard.identity:
        reasons.append(("identity", ""))
    values = heard.values
    voltages = [values[name] for name in sorted(values) if name.startswith("voltage_l")]
    good = [one for one in voltages if one is not None and any(low <= one <= high for low, high in _VOLTAGES)]
    score += sum(_voltage_points(one) for one in voltages) + (1 if good else 0)
    if good:
        reasons.append(("voltage", " / ".join(f"{one:.1f}" for one in good)))
    if "frequency" in values:
        frequency = values["frequency"]
        plausible = frequency is not None and _FREQUENCIES[0] <= frequency <= _FREQUENCIES[1]
        score += 3 if plausible else -3
        if plausible:
            reasons.append(("frequency", f"{frequency:.2f}"))
    factor = values.get("power_factor")
    if factor is not None and 0 < abs(factor) <= _FACTOR:
        score += 1
        reasons.append(("factor", f"{factor:.2f}"))
    energy = values.get("active_energy_import")
    if energy is not None:
        sound = 0 <= energy < _MOST_KWH and (energy == 0 or energy > 1e-3)  # noqa: PLR2004 - Wh; less is garbage
        score += 1 if sound else -2
        if sound and energy:
            reasons.append(("energy", f"{energy:.1f}"))
    return Guess(heard.profile, score, tuple(reasons))


def _voltage_points(voltage: float | None) -> float:
    if voltage is None:
        return -2
    if any(low <= voltage <= high for low, high in _VOLTAGES):
        return 2
    return -1 if abs(voltage) < 1 else -3  # a dead phase may be; 4000 V may not
