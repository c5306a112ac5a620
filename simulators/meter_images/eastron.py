"""Eastron: function 4, float32, volts, amperes, watts, kWh; at most 40 parameters (80 registers) a request.

A parameter that a model does not have reads zero. The SDM120 and the SDM230 have one phase: L1.
"""

from __future__ import annotations

from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_INPUT, MeterImage, Shown, by_phase
from simulators.physics import Reading, Three


def _both(one: Three, other: Three) -> Three:
    a, b, c = (x + y for x, y in zip(one, other, strict=True))
    return a, b, c


def _kwh(reading: Reading) -> Three:
    return _both(reading.import_kwh, reading.export_kwh)


def _kvarh(reading: Reading) -> Three:
    return _both(reading.import_kvarh, reading.export_kvarh)


EASTRON_SDM630: Final = MeterImage(
    model="eastron_sdm630",
    functions=(READ_INPUT,),
    max_registers=80,
    blocks=((0x0000, 0x0180),),
    shown=(
        *by_phase(0x0000, "f", show.voltage),
        *by_phase(0x0006, "f", show.current),
        *by_phase(0x000C, "f", show.active, 1000),
        *by_phase(0x0012, "f", show.apparent, 1000),
        *by_phase(0x0018, "f", show.reactive, 1000),
        *by_phase(0x001E, "f", show.power_factor),
        Shown(0x0034, "f", show.total_active, 1000),
        Shown(0x0038, "f", show.total_apparent, 1000),
        Shown(0x003C, "f", show.total_reactive, 1000),
        Shown(0x003E, "f", show.total_power_factor),
        Shown(0x0046, "f", show.frequency),
        Shown(0x0048, "f", show.import_kwh),
        Shown(0x004A, "f", show.export_kwh),
        Shown(0x004C, "f", show.import_kvarh),
        Shown(0x004E, "f", show.export_kvarh),
        Shown(0x0156, "f", lambda r: sum(_kwh(r))),
        Shown(0x0158, "f", lambda r: sum(_kvarh(r))),
        *by_phase(0x015A, "f", lambda r: r.import_kwh),
        *by_phase(0x0160, "f", lambda r: r.export_kwh),
        *by_phase(0x0166, "f", _kwh),
        *by_phase(0x016C, "f", lambda r: r.import_kvarh),
        *by_phase(0x0172, "f", lambda r: r.export_kvarh),
        *by_phase(0x0178, "f", _kvarh),
    ),
)


def _one_phase(model: str) -> MeterImage:
    return MeterImage(
        model=model,
        functions=(READ_INPUT,),
        max_registers=80,
        blocks=((0x0000, 0x015A),),
        shown=(
            Shown(0x0000, "f", lambda r: show.voltage(r)[0]),
            Shown(0x0006, "f", lambda r: show.current(r)[0]),
            Shown(0x000C, "f", lambda r: show.active(r)[0], 1000),
            Shown(0x0012, "f", lambda r: show.apparent(r)[0], 1000),
            Shown(0x0018, "f", lambda r: show.reactive(r)[0], 1000),
            Shown(0x001E, "f", lambda r: show.power_factor(r)[0]),
            Shown(0x0046, "f", show.frequency),
            Shown(0x0048, "f", lambda r: r.import_kwh[0]),
            Shown(0x004A, "f", lambda r: r.export_kwh[0]),
            Shown(0x004C, "f", lambda r: r.import_kvarh[0]),
            Shown(0x004E, "f", lambda r: r.export_kvarh[0]),
            Shown(0x0156, "f", lambda r: _kwh(r)[0]),
            Shown(0x0158, "f", lambda r: _kvarh(r)[0]),
        ),
    )


EASTRON_SDM120: Final = _one_phase("eastron_sdm120")
EASTRON_SDM230: Final = _one_phase("eastron_sdm230")
