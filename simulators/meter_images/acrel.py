"""Acrel ADW300: function 3, integers, high word first: 0.1 V, 0.01 A, W, 0.01 kWh."""

from __future__ import annotations

from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, by_phase

ACREL_ADW300: Final = MeterImage(
    model="acrel_adw300",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((0x0000, 0x0060),),
    shown=(
        *by_phase(20, "H", show.voltage, 10),
        *by_phase(26, "H", show.current, 100),
        *by_phase(30, "i", show.active, 1000),
        Shown(36, "i", show.total_active, 1000),
        Shown(62, "i", show.import_kwh, 100),
        Shown(64, "i", show.export_kwh, 100),
    ),
)
