"""What is known against an energy register. It is sent as it was read, with a bit; nothing is rewritten.

    fell        lower than before                                                        REGISTER_FELL
    zero        zero for a moment, after a count                                         REGISTER_ZERO
    jumped      higher than the meter could have carried in the time                     REGISTER_JUMPED
    stuck       unmoved while the power that flowed makes ten of its steps               REGISTER_STUCK

An energy register only counts up, and by no more than rating × time. Anything else is a fault of the line, a meter that
lost its memory, a register that went over its highest number, or another meter in the same place. A doubted level that
stands and counts on by itself for ``BELIEVED_AFTER`` reads is believed, and a note says what has probably happened:

    rolled_over   from near the highest number to near zero
    exchanged     to any other level: another meter, or one that was set anew

A meter of unknown rating is taken for the largest there is, and whoever shows twice the power of its rating may count
it, too: a ratio set wrongly must not put every reading in doubt. So a note may come late, not wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, isinf
from typing import Final

from metering.control import RegisterNote
from metering.quantity import QUANTITIES, Kind
from metering.round import Quality

BELIEVED_AFTER: Final = 3
LARGEST_METER_A: Final = 125.0
LARGEST_METER_KW: Final = 1.2 * LARGEST_METER_A * 277 * 3 / 1000
"""What a direct-connected low-voltage meter can carry at most: 125 A on three phases of 277 V, and an overload."""

_REGISTERS: Final = frozenset(name for name, one in QUANTITIES.items() if one.kind is Kind.REGISTER)
_POWER: Final = "active_power"
_POWERED: Final = "active_energy_import"  # the register that must move when that power flows
_MS_PER_HOUR: Final = 3_600_000
_COARSEST_STEP: Final = 1.0  # kWh at the meter's terminals
_STEPS: Final = 10  # that power must have made before a still register is stuck
_STILL_MS: Final = 900_000
_FLOW_GAP_MS: Final = 900_000  # power is not reckoned across longer holes
_STARTING: Final = 0.005  # share of the rating below which a meter may stand still (IEC 62053-21)
_NEAR: Final = 0.05  # share of its range that a register stands from either end when it rolls over
_FEWEST_DIGITS: Final = 4
_MOST_NOTES: Final = 50
_OF_POWER: Final = 2.0  # a register may rise by so much more than the power before and after it says


@dataclass(frozen=True, slots=True)
class Terminals:
    """What one meter can carry, and count.

    ``carries_kw`` is the highest power on the primary side, ``ratio`` CT × PT; ``rolls_at`` says by quantity where a
    register starts anew, on the primary side, if that is known.
    """

    carries_kw: float = LARGEST_METER_KW
    ratio: float = 1.0
    rolls_at: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Register:
    good: float
    at: int
    doubted: float = 0.0  # the last level that was not believed
    doubted_at: int = 0
    doubts: int = 0  # such levels in a row that count on among themselves
    step: float = 0.0  # the smallest rise seen
    still_since: int = 0
    flowed: float = 0.0  # kWh that had flowed when it last moved


@dataclass(slots=True)
class _Flow:
    power_kw: float
    at: int
    highest_kw: float  # the larger of the last two, either way
    flowed: float = 0.0  # kWh, at the lower of two powers


class RegisterTruth:
    """The last good value of every energy register of one gateway."""

    def __init__(self, terminals: Mapping[str, Terminals] | None = None) -> None:
        """Judge by what each meter can carry; a meter that is not named is taken for the largest there is."""
        self._terminals = terminals or {}
        self._registers: dict[tuple[str, str], _Register] = {}
        self._flows: dict[str, _Flow] = {}
        self._notes: dict[tuple[str, str, str], RegisterNote] = {}

    @property
    def notes(self) -> tuple[RegisterNote, ...]:
        """What has been seen, the newest last."""
        return tuple(self._notes.values())

    def judge(self, meter: str, at: int, values: Mapping[str, float | None]) -> Quality:
        """The bits for one row that was read at ``at`` (ms since 1970 UTC)."""
        power = values.get(_POWER)
        if power is not None:
            self._let_flow(meter, at, power)
        quality = Quality(0)
        for quantity in _REGISTERS & values.keys():
            value = values[quantity]
            if value is not None and (doubt := self._judge(meter, quantity, at, value)):
                quality |= doubt
        return quality

    def _judge(self, meter: str, quantity: str, at: int, value: float) -> Quality | None:
        known = self._registers.get((meter, quantity))
        if known is None:
            self._registers[meter, quantity] = _Register(value, at, still_since=at, flowed=self._flowed(meter))
            return None
        terminals = self._terminals_now(meter)
        if at < known.at and value < known.good <= _highest(value, known.at - at, terminals):
            return None  # read earlier and heard later, as some pushes are: the level we know can have followed
        if known.good <= value <= _highest(known.good, at - known.at, terminals):
            stuck = quantity == _POWERED and self._is_stuck(meter, known, at, value, terminals)
            if value > known.good:
                known.step = min(known.step or value - known.good, value - known.good)
            known.good, known.at, known.doubts = value, at, 0
            if stuck:
                self._note(meter, quantity, "stuck", at, value, value)
                return Quality.REGISTER_STUCK
            return None
        return self._doubt((meter, quantity), known, at, value, terminals)

    def _terminals_now(self, meter: str) -> Terminals:
        terminals, flow = self._terminals.get(meter, _LARGEST), self._flows.get(meter)
        if flow is None or flow.highest_kw * _OF_POWER <= terminals.carries_kw:
            return terminals
        return replace(terminals, carries_kw=flow.highest_kw * _OF_POWER)

    def _doubt(
        self, register: tuple[str, str], known: _Register, at: int, value: float, terminals: Terminals
    ) -> Quality:
        counts_on = known.doubts and known.doubted <= value <= _highest(known.doubted, at - known.doubted_at, terminals)
        known.doubts = known.doubts + 1 if counts_on else 1
        known.doubted, known.doubted_at = value, at
        if value > known.good:
            what, bit = "jumped", Quality.REGISTER_JUMPED
        else:
            what, bit = ("zero", Quality.REGISTER_ZERO) if value == 0 else ("fell", Quality.REGISTER_FELL)
        if known.doubts == 1:
            self._note(*register, what, at, known.good, value)
        if known.doubts >= BELIEVED_AFTER and value > 0:
            full = terminals.rolls_at.get(register[1]) or _next_digit(known.good, terminals.ratio)
            rolled = known.good >= (1 - _NEAR) * full and value <= _NEAR * full
            self._note(*register, "rolled_over" if rolled else "exchanged", at, known.good, value)
            known.good, known.at, known.doubts, known.step = value, at, 0, 0.0
            known.still_since, known.flowed = at, self._flowed(register[0])
        return bit

    def _is_stuck(self, meter: str, known: _Register, at: int, value: float, terminals: Terminals) -> bool:
        if value > known.good:
            known.still_since, known.flowed = at, self._flowed(meter)
            return False
        missed = self._flowed(meter) - known.flowed
        step = known.step or _COARSEST_STEP * terminals.ratio
        return at - known.still_since >= _STILL_MS and missed >= _STEPS * step

    def _let_flow(self, meter: str, at: int, power_kw: float) -> None:
        flow = self._flows.setdefault(meter, _Flow(power_kw, at, abs(power_kw)))
        flow.highest_kw = max(abs(power_kw), abs(flow.power_kw))
        least_kw = min(power_kw, flow.power_kw)
        starting_kw = _STARTING * self._terminals.get(meter, _LARGEST).carries_kw
        if 0 < at - flow.at <= _FLOW_GAP_MS and least_kw > starting_kw:
            flow.flowed += least_kw * (at - flow.at) / _MS_PER_HOUR
        flow.power_kw, flow.at = power_kw, at

    def _flowed(self, meter: str) -> float:
        flow = self._flows.get(meter)
        return flow.flowed if flow else 0.0

    def _note(self, meter: str, quantity: str, what: str, at: int, before: float, after: float) -> None:
        key = (meter, quantity, what)
        times = known.times + 1 if (known := self._notes.pop(key, None)) else 1
        self._notes[key] = RegisterNote(meter, quantity, what, at, before, after, times)
        if len(self._notes) > _MOST_NOTES:
            del self._notes[next(iter(self._notes))]


_LARGEST: Final = Terminals()


def _highest(level: float, elapsed_ms: int, terminals: Terminals) -> float:
    """What a register may have reached; after a clock that was set back, anything."""
    if elapsed_ms < 0 or isinf(terminals.carries_kw):
        return inf
    return level + terminals.carries_kw * elapsed_ms / _MS_PER_HOUR + _COARSEST_STEP * terminals.ratio


def _next_digit(level: float, ratio: float) -> float:
    """The number that needs one digit more than a level has at the terminals: 9,999.9 → 10,000."""
    full: float = 10.0 ** max(_FEWEST_DIGITS, len(str(int(level / ratio)))) * ratio
    return full
