"""Schneider iEM3155: function 3, powers in kW as float32, energies in Wh as 64-bit integers, high word first.

User manual DOCA0005EN; its register numbers less one. Register groups stand apart and what lies between is refused.
"""

from __future__ import annotations

from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, by_phase, text

SCHNEIDER_IEM3000: Final = MeterImage(
    model="schneider_iem3000",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((29, 89), (129, 141), (2999, 3111), (3203, 3283)),
    constants=text(29, "Energy Meter", 20) | text(49, "iEM3155", 20) | text(69, "Schneider Electric", 20),
    shown=(
        *by_phase(2999, "f", show.current),
        Shown(3009, "f", lambda r: sum(show.current(r)) / 3),
        *by_phase(3027, "f", show.voltage),
        Shown(3035, "f", lambda r: sum(show.voltage(r)) / 3),
        *by_phase(3053, "f", show.active),
        Shown(3059, "f", show.total_active),
        Shown(3067, "f", show.total_reactive),
        Shown(3075, "f", show.total_apparent),
        Shown(3083, "f", show.total_power_factor),
        Shown(3109, "f", show.frequency),
        Shown(3203, "q", show.import_kwh, 1000),
        Shown(3207, "q", show.export_kwh, 1000),
        Shown(3219, "q", show.import_kvarh, 1000),
        Shown(3223, "q", show.export_kvarh, 1000),
    ),
)
