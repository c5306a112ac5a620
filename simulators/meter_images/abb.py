"""ABB A43: function 3, integers, high word first: 0.1 V, 0.01 A, 0.01 W, 0.001, 0.01 kWh.

User manual 2CMC48001M0201. A register that holds nothing reads 0xFFFF.
"""

from __future__ import annotations

from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, by_phase, text

ABB_AB: Final = MeterImage(
    model="abb_ab",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((0x5000, 0x5038), (0x5460, 0x54D8), (0x5B00, 0x5B4A), (0x8900, 0x8970)),
    constants=text(0x8908, "1.0.0", 8) | {0x8910: 0x0100} | text(0x8960, "A43 111-100", 6),
    filling=0xFFFF,
    shown=(
        Shown(0x5000, "Q", show.import_kwh, 100),
        Shown(0x5004, "Q", show.export_kwh, 100),
        Shown(0x5008, "q", lambda r: show.import_kwh(r) - show.export_kwh(r), 100),
        Shown(0x500C, "Q", show.import_kvarh, 100),
        Shown(0x5010, "Q", show.export_kvarh, 100),
        *by_phase(0x5460, "Q", lambda r: r.import_kwh, 100),
        *by_phase(0x546C, "Q", lambda r: r.export_kwh, 100),
        *by_phase(0x5B00, "I", show.voltage, 10),
        *by_phase(0x5B0C, "I", show.current, 100),
        Shown(0x5B14, "i", show.total_active, 100_000),
        *by_phase(0x5B16, "i", show.active, 100_000),
        Shown(0x5B1C, "i", show.total_reactive, 100_000),
        *by_phase(0x5B1E, "i", show.reactive, 100_000),
        Shown(0x5B24, "i", show.total_apparent, 100_000),
        *by_phase(0x5B26, "i", show.apparent, 100_000),
        Shown(0x5B2C, "H", show.frequency, 100),
        Shown(0x5B3A, "h", show.total_power_factor, 1000),
        *by_phase(0x5B3B, "h", show.power_factor, 1000),
    ),
)
