"""A SunSpec meter: 'SunS' on 40000, model 1 with the name plate, model 203 with integers and scale registers, the end.

Offsets as in model_203.json of the SunSpec Alliance. The meter chooses each scale so that its numbers fit into sixteen
bits, so the scales change with the load. What it does not measure holds 0x8000, or 0 for an energy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from simulators import meter_image as show
from simulators.meter_image import READ_HOLDING, MeterImage, Shown, text
from simulators.physics import Reading

_BASE: Final = 40000
_COMMON: Final = _BASE + 2
_METER: Final = _COMMON + 2 + 66
_LENGTH: Final = 105
_END: Final = _METER + 2 + _LENGTH
_NOT_IMPLEMENTED: Final = 0x8000
_FINEST: Final = -3
_LARGEST: Final = 32767

Values = Callable[[Reading], tuple[float, ...]]


def _with_scale(start: int, values: Values, count: int, scale_at: int) -> list[Shown]:
    """Numbers of sixteen bits and the register that scales them."""

    def exponent(reading: Reading) -> int:
        largest = max(abs(value) for value in values(reading))
        return next(e for e in range(_FINEST, 11) if largest / 10.0**e <= _LARGEST)

    def number(n: int) -> Callable[[Reading], float]:
        return lambda reading: values(reading)[n] / 10.0 ** exponent(reading)

    return [*(Shown(start + n, "h", number(n)) for n in range(count)), Shown(scale_at, "h", exponent)]


def _of_all(total: Callable[[Reading], float], phases: Values, factor: float) -> Values:
    return lambda reading: tuple(factor * value for value in (total(reading), *phases(reading)))


_SHOWN: Final = (
    *_with_scale(2, _of_all(lambda r: sum(show.current(r)), show.current, 1), 4, 6),
    *_with_scale(7, _of_all(lambda r: sum(show.voltage(r)) / 3, show.voltage, 1), 4, 15),
    *_with_scale(16, lambda r: (show.frequency(r),), 1, 17),
    *_with_scale(18, _of_all(show.total_active, show.active, 1000), 4, 22),
    *_with_scale(23, _of_all(show.total_apparent, show.apparent, 1000), 4, 27),
    *_with_scale(28, _of_all(show.total_reactive, show.reactive, 1000), 4, 32),
    *_with_scale(33, _of_all(show.total_power_factor, show.power_factor, 100), 4, 37),
    Shown(38, "I", show.export_kwh, 1000),
    Shown(46, "I", show.import_kwh, 1000),
)

SUNSPEC_METER: Final = MeterImage(
    model="sunspec_meter",
    functions=(READ_HOLDING,),
    max_registers=125,
    blocks=((_BASE, _END + 2),),
    constants=text(_BASE, "SunS", 2)
    | {_COMMON: 1, _COMMON + 1: 66}
    | text(_COMMON + 2, "Wattline", 16)
    | text(_COMMON + 18, "Simulated 203", 16)
    | text(_COMMON + 42, "1.0", 8)
    | text(_COMMON + 50, "S-0001", 16)
    | {_METER + n: _NOT_IMPLEMENTED for n in (11, 12, 13, 14, 63 + 8, 72 + 32)}
    | {_METER + n: 0 for n in (*range(38, 55), *range(55, 71), *range(72, 104))}
    | {_METER: 203, _METER + 1: _LENGTH, _END: 0xFFFF, _END + 1: 0},
    shown=tuple(Shown(_METER + one.address, one.code, one.source, one.factor) for one in _SHOWN),
)
