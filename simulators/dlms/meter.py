"""The objects of a three-phase electricity meter, shown from the same physics as the Modbus meters.

Registers are whole numbers with a scaler, as most meters send them, or float32 in the unit itself. The load profile
holds a row every quarter of an hour, at the quarter: time, import, export, reactive import, active power.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from simulators.dlms.data import Data, logical_name
from simulators.dlms.objects import Column, CosemObject, MeterClock, Plain, Profile, Register
from simulators.lies import Metered
from simulators.physics import Reading

LOAD_PROFILE: Final = logical_name("1-0:99.1.0")
EVENT_LOG: Final = logical_name("0-0:99.98.0")
_PERIOD_MS: Final = 900_000

_W, _VA, _VAR, _WH, _VARH, _A, _V, _HZ, _NONE = 27, 28, 29, 30, 32, 33, 35, 44, 255

Source = Callable[[Reading], float]
Row = tuple[str, Source, str, int, int]  # logical name, value in the unit, type, scaler, unit


def _phase(of: Callable[[Reading], Sequence[float]], number: int) -> Source:
    return lambda reading: of(reading)[number]


def _power_factor(reading: Reading) -> float:
    return reading.flow.total_kw / reading.flow.total_kva if reading.flow.total_kva else 1.0


_ROWS: Final[tuple[Row, ...]] = (
    ("1-0:1.8.0", lambda r: sum(r.import_kwh) * 1000, "double-long-unsigned", 0, _WH),
    ("1-0:2.8.0", lambda r: sum(r.export_kwh) * 1000, "double-long-unsigned", 0, _WH),
    ("1-0:3.8.0", lambda r: sum(r.import_kvarh) * 1000, "double-long-unsigned", 0, _VARH),
    ("1-0:4.8.0", lambda r: sum(r.export_kvarh) * 1000, "double-long-unsigned", 0, _VARH),
    ("1-0:16.7.0", lambda r: r.flow.total_kw * 1000, "double-long", 0, _W),
    ("1-0:3.7.0", lambda r: r.flow.total_kvar * 1000, "double-long", 0, _VAR),
    ("1-0:9.7.0", lambda r: r.flow.total_kva * 1000, "double-long-unsigned", 0, _VA),
    ("1-0:13.7.0", _power_factor, "long", -3, _NONE),
    ("1-0:14.7.0", lambda r: r.flow.frequency_hz, "long-unsigned", -2, _HZ),
    *(
        (f"1-0:{20 * n + 12}.7.0", _phase(lambda r: r.flow.voltage_v, n - 1), "long-unsigned", -1, _V)
        for n in (1, 2, 3)
    ),
    *(
        (f"1-0:{20 * n + 11}.7.0", _phase(lambda r: r.flow.current_a, n - 1), "double-long-unsigned", -3, _A)
        for n in (1, 2, 3)
    ),
    *(
        (
            f"1-0:{20 * n + 16}.7.0",
            _phase(lambda r: [1000 * kw for kw in r.flow.active_kw], n - 1),
            "double-long",
            0,
            _W,
        )
        for n in (1, 2, 3)
    ),
)


def electricity_meter(
    meter: Metered,
    clock: MeterClock,
    *,
    serial: str = "SIM00001",
    installed_ms: int = 0,
    kept: int = 2880,
    events: Sequence[tuple[int, int]] = (),
    floats: bool = False,
    compressed: bool = False,
) -> list[CosemObject]:
    """All objects of one meter.

    Args:
        meter: what it measures.
        clock: its clock.
        serial: its number.
        installed_ms: when its load profile begins, ms since 1970 UTC.
        kept: rows of the load profile it has room for.
        events: instants (ms since 1970 UTC) and codes of its log, oldest first.
        floats: whether it sends float32.
        compressed: whether only the first row of a profile shows its time.
    """
    show = {row[0]: _shown(meter, row, floats=floats) for row in _ROWS}
    registers: list[CosemObject] = [
        Register(logical_name(name), show[name], 0 if floats else scaler, unit) for name, _, _, scaler, unit in _ROWS
    ]

    def quarters(at_ms: int) -> Sequence[int]:
        newest = (at_ms + int(clock.offset_s * 1000)) // _PERIOD_MS * _PERIOD_MS
        oldest = max(-(-installed_ms // _PERIOD_MS) * _PERIOD_MS, newest - (kept - 1) * _PERIOD_MS)
        return range(oldest, newest + 1, _PERIOD_MS)

    columns = [
        Column(3, logical_name(name), 2, show[name]) for name in ("1-0:1.8.0", "1-0:2.8.0", "1-0:3.8.0", "1-0:16.7.0")
    ]
    codes = dict(events)
    code = Column(1, logical_name("0-0:96.11.0"), 2, lambda at: ("unsigned", codes[at]))
    return [
        *registers,
        clock,
        Plain(logical_name("0-0:42.0.0"), lambda _: ("octet-string", serial.encode())),
        Plain(logical_name("0-0:96.1.0"), lambda _: ("visible-string", serial)),
        Profile(LOAD_PROFILE, clock, columns, quarters, _PERIOD_MS // 1000, compressed=compressed),
        Profile(EVENT_LOG, clock, [code], lambda now: [at for at, _ in events if at <= now], 0),
    ]


def _shown(meter: Metered, row: Row, *, floats: bool) -> Callable[[int], Data]:
    _, source, kind, scaler, _ = row

    def value(at_ms: int) -> Data:
        number = source(meter.reading(at_ms))
        return ("float32", number) if floats else (kind, round(number / 10**scaler))

    return value
