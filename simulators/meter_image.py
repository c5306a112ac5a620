"""What one model of meter answers: request PDU in, answer PDU out; what it measures comes in as a ``Reading``.

The images themselves, one vendor a file, are in ``meter_images``. They are written from the vendors' tables and are
independent of the profiles that the edge agent ships: where one of the two is wrong they disagree and a test fails.

An address inside a block that nothing uses holds the filling; outside of the blocks a request is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import Final

from simulators.physics import Reading, Three

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3

READ_HOLDING: Final = 3
READ_INPUT: Final = 4

_REQUEST: Final = struct.Struct(">BHH")

Source = Callable[[Reading], float]


@dataclass(frozen=True, slots=True)
class Shown:
    """One value the meter shows."""

    address: int
    code: str  # as in ``struct``: f is a float32, i an int32 …
    source: Source
    factor: float = 1.0
    low_word_first: bool = False
    end: int = field(init=False)  # first address behind it
    _number: struct.Struct = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare what every request needs."""
        number = struct.Struct(f">{self.code}")
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "end", self.address + number.size // 2)

    def octets(self, reading: Reading) -> bytes:
        """Its registers, as they are sent."""
        value = self.source(reading) * self.factor
        packed = self._number.pack(value if self.code in "fd" else round(value))
        if not self.low_word_first:
            return packed
        return b"".join(packed[at : at + 2] for at in range(len(packed) - 2, -1, -2))


@dataclass(frozen=True, slots=True)
class MeterImage:
    """What one model of meter answers."""

    model: str  # the name of the profile that the edge agent ships for it
    functions: tuple[int, ...]
    max_registers: int  # in one request
    blocks: tuple[tuple[int, int], ...]  # first address, first address behind
    shown: tuple[Shown, ...]
    constants: Mapping[int, int] = field(default_factory=dict)  # registers that never change
    alone: Mapping[int, int] = field(default_factory=dict)  # what a register holds when it is read alone
    filling: int = 0

    def answer(self, request: bytes, reading: Reading) -> bytes:
        """Request PDU → answer PDU; a request that the meter refuses gets an exception answer."""
        function = request[0] if request else 0
        if function not in self.functions:
            return refusal(function, ILLEGAL_FUNCTION)
        if len(request) != _REQUEST.size:
            return refusal(function, ILLEGAL_VALUE)
        _, address, count = _REQUEST.unpack(request)
        if not 0 < count <= self.max_registers:
            return refusal(function, ILLEGAL_VALUE)
        if count == 1 and address in self.alone:
            return bytes((function, 2)) + self.alone[address].to_bytes(2)
        block = next((b for b in self.blocks if b[0] <= address and address + count <= b[1]), None)
        if block is None:
            return refusal(function, ILLEGAL_ADDRESS)
        return bytes((function, 2 * count)) + self._registers(address, count, reading)

    def _registers(self, first: int, count: int, reading: Reading) -> bytes:
        """The bytes of ``count`` registers; a request may cut a value in two, as in the meter."""
        end = first + count
        image = bytearray(self.filling.to_bytes(2) * count)
        for address in self.constants.keys() & range(first, end):
            image[2 * (address - first) : 2 * (address - first + 1)] = self.constants[address].to_bytes(2)
        for one in self.shown:
            if one.address < end and first < one.end:
                low, high = max(first, one.address), min(end, one.end)
                part = slice(2 * (low - one.address), 2 * (high - one.address))
                image[2 * (low - first) : 2 * (high - first)] = one.octets(reading)[part]
        return bytes(image)


def refusal(function: int, code: int) -> bytes:
    """The exception answer to a function."""
    return bytes((function & 0x7F | 0x80, code))


def by_phase(
    start: int, code: str, of: Callable[[Reading], Three], factor: float = 1.0, *, low_word_first: bool = False
) -> list[Shown]:
    """Three values, one behind the other."""

    def phase(n: int) -> Source:
        return lambda reading: of(reading)[n]

    step = struct.calcsize(f">{code}") // 2
    return [Shown(start + step * n, code, phase(n), factor, low_word_first) for n in range(3)]


def text(start: int, content: str, registers: int) -> dict[int, int]:
    """ASCII, two characters a register, filled up with zeros."""
    octets = content.encode("ascii").ljust(2 * registers, b"\0")
    return {start + n: int.from_bytes(octets[2 * n : 2 * n + 2]) for n in range(registers)}


def voltage(reading: Reading) -> Three:
    """Phase against neutral, V."""
    return reading.flow.voltage_v


def current(reading: Reading) -> Three:
    """By phase, A."""
    return reading.flow.current_a


def active(reading: Reading) -> Three:
    """By phase, kW."""
    return reading.flow.active_kw


def reactive(reading: Reading) -> Three:
    """By phase, kvar."""
    return reading.flow.reactive_kvar


def apparent(reading: Reading) -> Three:
    """By phase, kVA."""
    flow = reading.flow
    a, b, c = (u * i / 1000 for u, i in zip(flow.voltage_v, flow.current_a, strict=True))
    return a, b, c


def power_factor(reading: Reading) -> Three:
    """P / S by phase; an idle phase shows 1, as meters do."""
    a, b, c = (p / s if s else 1.0 for p, s in zip(reading.flow.active_kw, apparent(reading), strict=True))
    return a, b, c


def total_active(reading: Reading) -> float:
    """Of all phases, kW."""
    return reading.flow.total_kw


def total_reactive(reading: Reading) -> float:
    """Of all phases, kvar."""
    return reading.flow.total_kvar


def total_apparent(reading: Reading) -> float:
    """Of all phases, kVA."""
    return hypot(reading.flow.total_kw, reading.flow.total_kvar)


def total_power_factor(reading: Reading) -> float:
    """P / S of all phases."""
    return reading.flow.total_kw / total_apparent(reading) if total_apparent(reading) else 1.0


def frequency(reading: Reading) -> float:
    """In Hz."""
    return reading.flow.frequency_hz


def import_kwh(reading: Reading) -> float:
    """Of all phases."""
    return sum(reading.import_kwh)


def export_kwh(reading: Reading) -> float:
    """Of all phases."""
    return sum(reading.export_kwh)


def import_kvarh(reading: Reading) -> float:
    """Of all phases."""
    return sum(reading.import_kvarh)


def export_kvarh(reading: Reading) -> float:
    """Of all phases."""
    return sum(reading.export_kvarh)
