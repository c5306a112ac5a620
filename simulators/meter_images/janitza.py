"""Janitza B23: function 3, float32, high word first: V, A, W, VA, var, Wh; the list of frequently required readings.

From 19000 on without a hole: between phases, sums, net energies and energies by phase stand there too.
"""

from __future__ import annotations

from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, by_phase

JANITZA_B23: Final = MeterImage(
    model="janitza_b23",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((19000, 19122),),
    shown=(
        *by_phase(19000, "f", show.voltage),
        *by_phase(19012, "f", show.current),
        *by_phase(19020, "f", show.active, 1000),
        Shown(19026, "f", show.total_active, 1000),
        *by_phase(19028, "f", show.apparent, 1000),
        Shown(19034, "f", show.total_apparent, 1000),
        *by_phase(19036, "f", show.reactive, 1000),
        Shown(19042, "f", show.total_reactive, 1000),
        *by_phase(19044, "f", show.power_factor),
        Shown(19050, "f", show.frequency),
        Shown(19060, "f", lambda r: show.import_kwh(r) - show.export_kwh(r), 1000),
        *by_phase(19062, "f", lambda r: r.import_kwh, 1000),
        Shown(19068, "f", show.import_kwh, 1000),
        *by_phase(19070, "f", lambda r: r.export_kwh, 1000),
        Shown(19076, "f", show.export_kwh, 1000),
    ),
)
