"""What one meter's values say about its wiring, its ratios and its map. Never certain: each finding is a suspicion.

Electricity sets the limits. A low-voltage phase has 80 to 300 V against neutral, or 50 to 70 V behind a voltage
transformer of 100 V (57.7 V); a grid has 45 to 65 Hz. On one phase |P| is never more than U × I, and P is the sum of
its phases. With two current transformers exchanged, the angles of those phases move by +120° and -120°, and because
cos(φ + 120°) + cos(φ - 120°) = -cos φ the three signed power factors of a balanced load add up to nothing. A reversed
transformer turns the sign of one phase.

Values are those of the primary side, so voltages are judged after the voltage transformer's ratio is taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from metering.quantity import QUANTITIES, Kind

Values = Mapping[str, float | None]

_PHASES: Final = (1, 2, 3)
_DEAD_V: Final = 20.0
_CREDIBLE_V: Final = ((80.0, 300.0), (50.0, 70.0))
_LINKED_V: Final = (340.0, 480.0)
_CREDIBLE_HZ: Final = (45.0, 65.0)
_SUM_SHARE: Final = 0.02
_SUM_KW: Final = 0.03
_LOADED_A: Final = 0.3  # at the meter's terminals: below this, angles and ratios cannot be judged
_IDLE_SHARE: Final = 0.005
_CT_METER_A: Final = 10.0  # direct meters carry 40 A and more, those behind transformers 1 to 10 A
_TOO_STRONG: Final = 1.15
_SCALES: Final = (1000.0, 100.0, 10.0)
_SCALE_BAND: Final = 0.35
_BALANCE: Final = 0.15
_NOTHING: Final = 0.2


class Finding(NamedTuple):
    """One suspicion: a key of the table of words, and what fills its blanks."""

    key: str
    blanks: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Plate:
    """What is configured and known about the meter."""

    ct_ratio: float = 1.0
    pt_ratio: float = 1.0
    maximum_current_a: float | None = None  # at its terminals
    counts_primary: bool = False  # the registers carry the ratio already


def suspicions(values: Values, plate: Plate) -> list[Finding]:
    """Everything that looks wrong in one reading."""
    voltages = _voltage_findings(values, plate)
    found = [*voltages, *_frequency_findings(values)]
    if not any(one.key.startswith("voltage") for one in voltages):
        found += _phase_findings(values, plate)
    return [*found, *_sum_findings(values), *_ratio_findings(values, plate)]


def fallen(before: Values, after: Values, between_s: float) -> list[Finding]:
    """Energy registers that fell from one read to the next."""
    return [
        Finding("fell", (name, f"{value:g}", f"{now:g}", f"{between_s:.1f}"))
        for name, value in before.items()
        if value is not None and QUANTITIES[name].kind is Kind.REGISTER
        if (now := after.get(name)) is not None and now < value
    ]


def credible(values: Values, pt_ratio: float = 1.0) -> bool:
    """Whether there is a voltage, and every voltage that is not dead could be one."""
    alive = [abs(value) / pt_ratio for value in _phases(values, "voltage").values() if abs(value) > _DEAD_V * pt_ratio]
    return bool(alive) and all(any(low <= one <= high for low, high in _CREDIBLE_V) for one in alive)


def better_order(tried: Mapping[tuple[str, str], Values], pt_ratio: float = 1.0) -> list[Finding]:
    """Which word and byte order would make the voltages credible; by (word_order, byte_order): what was read so."""
    return [
        Finding("order", (*order, _listed(_phases(values, "voltage").values())))
        for order, values in tried.items()
        if credible(values, pt_ratio)
    ][:1]


def _voltage_findings(values: Values, plate: Plate) -> list[Finding]:
    voltages = {phase: value / plate.pt_ratio for phase, value in _phases(values, "voltage").items()}
    alive = [value for value in voltages.values() if value >= _DEAD_V]
    found = []
    dead = [f"L{phase}" for phase, value in voltages.items() if abs(value) < _DEAD_V]
    if dead:
        found.append(Finding("phase_dead", (", ".join(dead),)))
    if alive and all(_LINKED_V[0] <= value <= _LINKED_V[1] for value in alive):
        found.append(Finding("voltage_linked", (f"{alive[0]:.0f}",)))
    elif not all(any(low <= value <= high for low, high in _CREDIBLE_V) for value in alive):
        found.append(Finding("voltage_absurd", (_listed(alive),)))
    return found


def _frequency_findings(values: Values) -> list[Finding]:
    frequency = values.get("frequency")
    if frequency is None or _CREDIBLE_HZ[0] <= frequency <= _CREDIBLE_HZ[1]:
        return []
    return [Finding("frequency", (f"{frequency:g}",))]


def _phase_findings(values: Values, plate: Plate) -> list[Finding]:
    """Signs, exchanged transformers, scale of the power: phase by phase against U × I."""
    powers = _phases(values, "active_power")
    apparent = _apparent_kva(values)
    total = values.get("active_power")
    if total is None and powers:
        total = sum(powers.values())
    carried = sum(apparent.values())
    loaded = [phase for phase in powers if _current(values, phase) > _LOADED_A * plate.ct_ratio and phase in apparent]
    if total is None or not loaded:
        return [Finding("export", (f"{total:g}",))] if total is not None and total < -_SUM_KW else []
    if apparent and len(apparent) == len(_phases(values, "voltage")) and abs(total) > _TOO_STRONG * carried:
        return [_strength(abs(total), carried)]
    factors = {phase: powers[phase] / apparent[phase] for phase in loaded}
    if crossed := _crossed(factors, total, carried):
        return [Finding("crossed", (f"L{crossed[0]}", f"L{crossed[1]}"))]
    negative = [phase for phase, factor in factors.items() if factor < -_BALANCE]
    if negative and len(negative) == len(factors):
        return [Finding("export", (f"{total:g}",))]
    return [Finding("reversed", (f"L{phase}", f"{powers[phase]:g}")) for phase in negative]


def _strength(power_kw: float, carried_kva: float) -> Finding:
    """Power that voltage and current cannot carry: a scale of ten, hundred or thousand, or something else."""
    times = power_kw / carried_kva
    for scale in _SCALES:
        if scale * (1 - _SCALE_BAND) <= times <= scale * _TOO_STRONG:
            return Finding("scale", (f"{scale:g}", "W", "kW") if scale == _SCALES[0] else (f"{scale:g}", "0.1 W", "W"))
    return Finding("too_strong", (f"{power_kw:g}", f"{carried_kva:.3g}"))


def _crossed(factors: Mapping[int, float], total_kw: float, carried_kva: float) -> tuple[int, int] | None:
    """The two phases whose transformers seem to be exchanged."""
    if len(factors) < len(_PHASES) or abs(total_kw) > _NOTHING * carried_kva:
        return None
    for third in _PHASES:
        first, second = (phase for phase in _PHASES if phase != third)
        if factors[third] > _BALANCE and abs(factors[first] + factors[second] + factors[third]) < _BALANCE:
            return first, second
    return None


def _sum_findings(values: Values) -> list[Finding]:
    powers = _phases(values, "active_power")
    total = values.get("active_power")
    if total is None or len(powers) < len(_PHASES):
        return []
    added = sum(powers.values())
    allowed = max(_SUM_KW, _SUM_SHARE * sum(abs(power) for power in powers.values()))
    return [] if abs(total - added) <= allowed else [Finding("sum", (f"{total:g}", f"{added:g}"))]


def _ratio_findings(values: Values, plate: Plate) -> list[Finding]:
    found = []
    if plate.counts_primary and plate.ct_ratio != 1:
        found.append(Finding("ratio_twice", (f"{plate.ct_ratio:g}",)))
    rated = plate.maximum_current_a
    currents = {phase: abs(value) for phase, value in _phases(values, "current").items()}
    if rated is None or not currents:
        return found
    if rated <= _CT_METER_A and plate.ct_ratio == 1 and not plate.counts_primary:
        found.append(Finding("ratio_missing", (f"{rated:g}",)))
    elif not plate.counts_primary:
        most = rated * plate.ct_ratio
        strongest = max(currents, key=lambda phase: currents[phase])
        if currents[strongest] > _TOO_STRONG * most:
            found.append(Finding("over_rating", (f"L{strongest}", f"{currents[strongest]:g}", f"{most:g}")))
        elif currents[strongest] < _IDLE_SHARE * most:
            found.append(Finding("idle", (f"{currents[strongest]:.3g}", f"{most:g}")))
    return found


def _apparent_kva(values: Values) -> dict[int, float]:
    voltages, currents = _phases(values, "voltage"), _phases(values, "current")
    both = {phase: abs(voltages[phase] * currents[phase]) / 1000 for phase in voltages if phase in currents}
    return {phase: kva for phase, kva in both.items() if kva}


def _current(values: Values, phase: int) -> float:
    return abs(values.get(f"current_l{phase}") or 0.0)


def _phases(values: Values, of: str) -> dict[int, float]:
    """The phases that have a value."""
    found = {phase: values.get(f"{of}_l{phase}") for phase in _PHASES}
    return {phase: value for phase, value in found.items() if value is not None}


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:.1f}" if abs(value) < 1e5 else f"{value:.3g}" for value in values)  # noqa: PLR2004 - then it is absurd
