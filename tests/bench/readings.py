"""What all subjects are measured on: fleets whose readings come from the simulators' physics.

Two hundred customers of five trades on a Thursday morning, minute by minute. A larger fleet repeats them under
other names. Meters are read one after the other, 30 ms apart, as on a real line.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Final

from collector.registry.registry import Registry, RegistrySettings
from metering.codec import Envelope, encode_body, encode_packed
from metering.round import Column, Origin, Round, pack
from simulators.companions import registry
from simulators.park import Park, ParkSettings, expand
from simulators.physics import Reading

MINUTE_MS: Final = 60_000
START: Final = datetime.fromisoformat("2026-03-05T10:00:00+08:00")
_READ_MS: Final = 30

QUANTITIES: Final = (
    "active_energy_import",
    "active_power",
    "reactive_power",
    "power_factor",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Gateways, each with as many meters."""

    gateways: int
    meters: int

    @property
    def readings(self) -> int:
        """Readings a minute."""
        return self.gateways * self.meters

    def __str__(self) -> str:
        return f"{self.gateways}x{self.meters}"


@cache
def park() -> Park:
    """The two hundred customers."""
    trades = dict.fromkeys(("retail", "manufacturing", "catering", "logistics", "ecommerce"), 40)
    settings = ParkSettings.model_validate({"park": "bench", "trades": trades, "start": START, "every": "60s"})
    return expand(settings, START)


@cache
def minutes(count: int) -> list[list[tuple[float, ...]]]:
    """For each minute and customer the values of ``QUANTITIES``."""
    first = int(START.timestamp() * 1000)
    return [
        [_values(one.meter.reading(first + minute * MINUTE_MS + _READ_MS * i)) for i, one in enumerate(park().meters)]
        for minute in range(count)
    ]


def _values(reading: Reading) -> tuple[float, ...]:
    flow = reading.flow
    factor = flow.total_kw / flow.total_kva if flow.total_kva else 1.0
    return (
        sum(reading.import_kwh),
        flow.total_kw,
        flow.total_kvar,
        factor,
        *flow.voltage_v,
        *flow.current_a,
    )


def rounds(fleet: Fleet, count: int) -> list[list[Round]]:
    """For each minute one round a gateway."""
    names = [one.meter.name for one in park().meters]
    first = int(START.timestamp() * 1000)
    made: list[list[Round]] = []
    for minute, values in enumerate(minutes(count)):
        at = first + minute * MINUTE_MS
        made.append([_round(fleet, gateway, names, values, at) for gateway in range(fleet.gateways)])
    return made


def _round(fleet: Fleet, gateway: int, names: list[str], values: list[tuple[float, ...]], at: int) -> Round:
    chosen = [(gateway * 37 + i) % len(names) for i in range(fleet.meters)]
    return Round(
        f"gw-{gateway:03d}",
        "main",
        Origin.LIVE,
        MINUTE_MS,
        at,
        tuple(f"{gateway:03d}-{names[i]}" for i in chosen),
        pack((at + 1_000 + _READ_MS * n for n in range(fleet.meters)), "q"),
        pack([0] * fleet.meters, "I"),
        tuple(Column.of(name, [values[i][k] for i in chosen]) for k, name in enumerate(QUANTITIES)),
    )


def messages(made: list[list[Round]]) -> list[list[bytes]]:
    """The same rounds as they arrive."""
    return [
        [encode_packed(Envelope(1, seq, seq - 1), encode_body(content)) for content in minute]
        for seq, minute in enumerate(made, 1)
    ]


def known(fleet: Fleet) -> Registry:
    """A registry of the whole fleet: ratings and contracts of the customers."""
    settings = registry(park())
    meters = [
        one | {"id": f"{gateway:03d}-{one['id']}"} for gateway in range(fleet.gateways) for one in settings["meters"]
    ]
    return Registry(RegistrySettings.model_validate(settings | {"meters": meters}), "bench")


def rows(content: Round) -> list[dict[str, object]]:
    """One round as a usual program would send it: one JSON object a reading."""
    count = content.rows
    columns = {column.quantity: column.values(count) for column in content.columns}
    at = memoryview(content.measured_at).cast("q")
    return [
        {
            "gateway": content.gateway,
            "meter": meter,
            "measured_at": at[i],
            "quality": 0,
            **{name: values[i] for name, values in columns.items()},
        }
        for i, meter in enumerate(content.meters)
    ]
