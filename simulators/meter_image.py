"""The register images of real meters, written from the vendors' tables: address → what stands there.

Request PDU in, answer PDU out; what the meter measures comes in as a ``Reading``. The tables here are independent of
the profiles that the edge agent ships: where one of the two is wrong they disagree and a test fails.

    Eastron SDM630   function 4, float32, volts, amperes, watts, kWh; at most 40 parameters (80 registers) a request
    Chint DTSU666    function 3, float32, scaled (V × 10, A × 1000, W × 10, cos φ × 1000, Hz × 100), kWh

An address that no parameter uses reads 0 inside a block of the table and is refused outside of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.physics import Reading, Three

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3

_FLOAT: Final = struct.Struct(">f")
_REQUEST: Final = struct.Struct(">BHH")

Source = Callable[[Reading], float]


@dataclass(frozen=True, slots=True)
class MeterImage:
    """What one model of meter answers."""

    model: str  # the name of the profile that the edge agent ships for it
    function: int
    max_registers: int  # in one request
    blocks: tuple[tuple[int, int], ...]  # first address, first address behind
    parameters: tuple[tuple[int, float, Source], ...]  # address, factor, what is shown

    def answer(self, request: bytes, reading: Reading) -> bytes:
        """Request PDU → answer PDU; a request that the meter refuses gets an exception answer."""
        function = request[0] if request else 0
        if function != self.function:
            return refusal(function, ILLEGAL_FUNCTION)
        if len(request) != _REQUEST.size:
            return refusal(function, ILLEGAL_VALUE)
        _, address, count = _REQUEST.unpack(request)
        if not 0 < count <= self.max_registers:
            return refusal(function, ILLEGAL_VALUE)
        block = next((b for b in self.blocks if b[0] <= address and address + count <= b[1]), None)
        if block is None:
            return refusal(function, ILLEGAL_ADDRESS)
        return bytes((function, 2 * count)) + self._registers(address, count, reading)

    def _registers(self, first: int, count: int, reading: Reading) -> bytes:
        """The bytes of ``count`` registers; a request may cut a float in two, as in the meter."""
        image = bytearray(2 * (count + 2))  # one register of margin at either end
        for address, factor, source in self.parameters:
            if first - 1 <= address < first + count:
                _FLOAT.pack_into(image, 2 * (address - first + 1), source(reading) * factor)
        return bytes(image[2 : 2 * (count + 1)])


def refusal(function: int, code: int) -> bytes:
    """The exception answer to a function."""
    return bytes((function & 0x7F | 0x80, code))


def _by_phase(start: int, factor: float, of: Callable[[Reading], Three]) -> list[tuple[int, float, Source]]:
    """Three parameters at ``start``, ``start + 2``, ``start + 4``."""

    def phase(n: int) -> Source:
        return lambda reading: of(reading)[n]

    return [(start + 2 * n, factor, phase(n)) for n in range(3)]


def _apparent_kva(reading: Reading) -> Three:
    flow = reading.flow
    a, b, c = (u * i / 1000 for u, i in zip(flow.voltage_v, flow.current_a, strict=True))
    return a, b, c


def _power_factor(reading: Reading) -> Three:
    """P / S by phase; an idle phase shows 1, as meters do."""
    a, b, c = (p / s if s else 1.0 for p, s in zip(reading.flow.active_kw, _apparent_kva(reading), strict=True))
    return a, b, c


def _total_power_factor(reading: Reading) -> float:
    flow = reading.flow
    return flow.total_kw / flow.total_kva if flow.total_kva else 1.0


def _sum(one: Three, other: Three) -> Three:
    a, b, c = (x + y for x, y in zip(one, other, strict=True))
    return a, b, c


EASTRON_SDM630: Final = MeterImage(
    model="eastron_sdm630",
    function=4,
    max_registers=80,
    blocks=((0x0000, 0x0180),),
    parameters=(
        *_by_phase(0x0000, 1, lambda r: r.flow.voltage_v),
        *_by_phase(0x0006, 1, lambda r: r.flow.current_a),
        *_by_phase(0x000C, 1000, lambda r: r.flow.active_kw),
        *_by_phase(0x0012, 1000, _apparent_kva),
        *_by_phase(0x0018, 1000, lambda r: r.flow.reactive_kvar),
        *_by_phase(0x001E, 1, _power_factor),
        (0x0034, 1000, lambda r: r.flow.total_kw),
        (0x0038, 1000, lambda r: r.flow.total_kva),
        (0x003C, 1000, lambda r: r.flow.total_kvar),
        (0x003E, 1, _total_power_factor),
        (0x0046, 1, lambda r: r.flow.frequency_hz),
        (0x0048, 1, lambda r: sum(r.import_kwh)),
        (0x004A, 1, lambda r: sum(r.export_kwh)),
        (0x004C, 1, lambda r: sum(r.import_kvarh)),
        (0x004E, 1, lambda r: sum(r.export_kvarh)),
        (0x0156, 1, lambda r: sum(r.import_kwh) + sum(r.export_kwh)),
        (0x0158, 1, lambda r: sum(r.import_kvarh) + sum(r.export_kvarh)),
        *_by_phase(0x015A, 1, lambda r: r.import_kwh),
        *_by_phase(0x0160, 1, lambda r: r.export_kwh),
        *_by_phase(0x0166, 1, lambda r: _sum(r.import_kwh, r.export_kwh)),
        *_by_phase(0x016C, 1, lambda r: r.import_kvarh),
        *_by_phase(0x0172, 1, lambda r: r.export_kvarh),
        *_by_phase(0x0178, 1, lambda r: _sum(r.import_kvarh, r.export_kvarh)),
    ),
)

CHINT_DTSU666: Final = MeterImage(
    model="chint_dtsu666",
    function=3,
    max_registers=125,
    blocks=((0x101E, 0x1030), (0x2006, 0x2046)),
    parameters=(
        (0x101E, 1, lambda r: sum(r.import_kwh)),
        *_by_phase(0x1020, 1, lambda r: r.import_kwh),
        (0x1028, 1, lambda r: sum(r.export_kwh)),
        *_by_phase(0x102A, 1, lambda r: r.export_kwh),
        *_by_phase(0x2006, 10, lambda r: r.flow.voltage_v),
        *_by_phase(0x200C, 1000, lambda r: r.flow.current_a),
        (0x2012, 10_000, lambda r: r.flow.total_kw),
        *_by_phase(0x2014, 10_000, lambda r: r.flow.active_kw),
        (0x201A, 10_000, lambda r: r.flow.total_kvar),
        *_by_phase(0x201C, 10_000, lambda r: r.flow.reactive_kvar),
        (0x202A, 1000, _total_power_factor),
        *_by_phase(0x202C, 1000, _power_factor),
        (0x2044, 100, lambda r: r.flow.frequency_hz),
    ),
)

MODELS: Final = {image.model: image for image in (EASTRON_SDM630, CHINT_DTSU666)}
