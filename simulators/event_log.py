"""What a meter's own log holds of what is done to it, as two standards write it.

    scenario         DLMS, codes of the IDIS companion standard     DL/T 645-2007, table A.4
    cover_opened     44 meter cover removed, 45 closed              03 30 0D  began, ended, registers before and after
    magnetic_field   42 strong field, 43 no more                    03 35 00  began, ended (of its supplements)

A record of DL/T 645 is there as soon as the event begins; its end follows. Modbus meters keep no log.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from simulators.dlt645_meter import bcd, moment
from simulators.lies import Metered
from simulators.physics import Reading
from simulators.scenarios import Scenario, ScenarioName

_CODES: Final[dict[ScenarioName, tuple[int, int]]] = {"cover_opened": (44, 45), "magnetic_field": (42, 43)}
_RECORDS: Final[dict[int, ScenarioName]] = {0x03300D: "cover_opened", 0x033500: "magnetic_field"}
_TIME: Final = "%y%m%d%H%M%S"
_NOT_YET: Final = bytes(6)


def dlms_entries(scenarios: Sequence[Scenario]) -> list[tuple[int, int]]:
    """Instants (ms since 1970 UTC) and codes, oldest first."""
    return sorted(
        entry
        for one in scenarios
        if one.name in _CODES
        for entry in zip((one.starts_at_ms, one.ends_at_ms), _CODES[one.name], strict=True)
    )


def dlt645_records(scenarios: Sequence[Scenario], meter: Metered, kind: int, now_ms: int) -> list[bytes] | None:
    """The records of one kind (DI3 DI2 DI1) so far, the newest first; ``None``: the meter has no such list."""
    if kind not in _RECORDS:
        return None
    begun = [one for one in scenarios if one.name == _RECORDS[kind] and one.starts_at_ms <= now_ms]
    return [_record(one, meter, now_ms) for one in sorted(begun, key=lambda one: -one.starts_at_ms)]


def _record(one: Scenario, meter: Metered, now_ms: int) -> bytes:
    over = one.ends_at_ms <= now_ms
    times = moment(one.starts_at_ms, _TIME) + (moment(one.ends_at_ms, _TIME) if over else _NOT_YET)
    if one.name != "cover_opened":
        return times
    before = _registers(meter.reading(one.starts_at_ms))
    return times + before + (_registers(meter.reading(one.ends_at_ms)) if over else bytes(len(before)))


def _registers(reading: Reading) -> bytes:
    """Import, export, and the reactive registers of four quadrants (all of it in the first): 4 octets, 0.01 each."""
    kwh, kvarh = (sum(reading.import_kwh), sum(reading.export_kwh)), (sum(reading.import_kvarh), 0.0, 0.0, 0.0)
    return b"".join(bcd(value, 4, 2) for value in (*kwh, *kvarh))
