"""The readings all subjects measure with: customers of the simulated world, ten values each, once a minute.

They come from the simulators' physics and one seed. A gateway's meters are read one after the other, so that no two
rows have the same instant. One customer in a hundred is tampered with soon after the start: a fleet in which nothing
is ever pending would flatter the checks. Gateways share a stock of customers; none has the same one twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from collector.engine.fleet import Fleet
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from metering.codec import encode_packed
from metering.message import Envelope
from metering.packed_body import encode_body
from metering.quantity import QUANTITIES
from metering.round import Column, Origin, Round, pack, unpack
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings
from simulators.physics import SimulatedMeter
from tests.support.engines import tariffs

Floats = npt.NDArray[np.float64]

TEN = (
    "active_power",
    "reactive_power",
    "power_factor",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "active_energy_import",
)
PERIOD_MS = 60_000
DAY = datetime.fromisoformat("2026-03-04T00:00:00+08:00")
FIRST_MINUTE = 8 * 60
LAST_MINUTE = 24 * 60 - 2
_TAMPERED_AFTER = "500min"
_CUSTOMERS_A_TRADE = 80
_A_READ_MS = 90  # two requests at 9600 Bd


@dataclass(frozen=True, slots=True)
class Row:
    """One reading with the names of everything, as most systems send it."""

    gateway: str
    meter: str
    measured_at: int
    values: dict[str, float | None]


class World:
    """Gateways with meters, read minute by minute."""

    def __init__(self, gateways: int, meters: int, *, honest: bool = False) -> None:
        """Give every gateway its customers; ``honest`` leaves out the tampered ones."""
        stock = _stock(() if honest else _tampered())
        self.names = {f"gw-{g:02d}": tuple(f"m-{g:02d}-{i:03d}" for i in range(meters)) for g in range(1, gateways + 1)}
        self._customers = {
            gateway: [stock.meters[(g * meters + i) % len(stock.meters)].meter for i in range(meters)]
            for g, gateway in enumerate(self.names)
        }
        self._rng = np.random.default_rng(7)
        self._minute = FIRST_MINUTE
        self._seq = 0

    def fleet(self) -> Fleet:
        """An empty fleet that knows every meter."""
        registered = [
            {
                "id": name,
                "site": "park",
                "nominal_voltage_v": customer.rating.nominal_voltage_v,
                "base_current_a": customer.rating.base_current_a,
                "maximum_current_a": customer.rating.maximum_current_a,
                "contract_kva": customer.rating.contract_kva,
            }
            for gateway, names in self.names.items()
            for name, customer in zip(names, self._customers[gateway], strict=True)
        ]
        settings = RegistrySettings.model_validate({"sites": [{"id": "park"}], "meters": registered})
        return Fleet(Registry(settings, "bench"), tariffs())

    def rounds(self, minutes: int) -> list[Round]:
        """The next minutes of every gateway, in the order of their arrival."""
        first, self._minute = self._minute, self._minute + minutes
        if self._minute > LAST_MINUTE:
            raise ValueError("the day is over")
        by_gateway = [list(self._gateway(gateway, first, minutes)) for gateway in self.names]
        return [rounds[minute] for minute in range(minutes) for rounds in by_gateway]

    def messages(self, minutes: int) -> list[bytes]:
        """The next minutes as they come from the broker."""
        first = self._seq
        self._seq += minutes
        return [
            encode_packed(Envelope(1, first + 1 + i // len(self.names), 0), encode_body(content))
            for i, content in enumerate(self.rounds(minutes))
        ]

    def _gateway(self, gateway: str, first: int, minutes: int) -> Iterator[Round]:
        names, customers = self.names[gateway], self._customers[gateway]
        after_ms = np.arange(len(names)) * _A_READ_MS
        late_ms = after_ms + self._rng.integers(0, 15, (minutes, len(names)))
        table = np.stack([_values(one, first, late_ms[:, i]) for i, one in enumerate(customers)], axis=2)
        quality = bytes(4 * len(names))
        for i in range(minutes):
            at = int(DAY.timestamp() * 1000) + (first + i) * PERIOD_MS
            columns = tuple(_column(name, table[k, i]) for k, name in enumerate(TEN))
            times = pack((at + late_ms[i]).tolist(), "q")
            yield Round(gateway, "main", Origin.LIVE, PERIOD_MS, at, names, times, quality, columns)


def rows_of(content: Round) -> list[Row]:
    """The readings of a round, one by one."""
    times = unpack(content.measured_at, "q")
    columns = [(one.quantity, one.values(content.rows)) for one in content.columns]
    return [
        Row(content.gateway, meter, at, {name: values[i] for name, values in columns})
        for i, (meter, at) in enumerate(zip(content.meters, times, strict=True))
    ]


def _tampered() -> tuple[dict[str, str], ...]:
    prefixes = ("shop-1", "works-2", "kitchen-3", "depot-4")
    return tuple(
        {"meter": f"{prefix}10", "scenario": scenario, "after": _TAMPERED_AFTER, "lasts": "14h"}
        for prefix, scenario in zip(prefixes, ("current_loss", "bypass") * 2, strict=True)
    )


def _stock(tampered: tuple[dict[str, str], ...]) -> Park:
    trades = dict.fromkeys(("retail", "manufacturing", "catering", "logistics", "ecommerce"), _CUSTOMERS_A_TRADE)
    settings = ParkSettings.model_validate({"trades": trades, "start": DAY, "scenarios": tampered})
    return expand(settings, datetime.now(UTC))


def _values(customer: SimulatedMeter, first: int, late_ms: npt.NDArray[np.int64]) -> Floats:
    """The ten values of one meter at each minute, shape (10, minutes); what ``reading`` says, all at once."""
    day = customer._day(0)
    minutes = slice(first, first + len(late_ms))
    active = day.power_kw[minutes, None].astype(np.float64) * day.share[minutes] * day.seen[minutes]
    reactive = active * day.tangent[minutes]
    voltage = day.voltage_v[minutes].astype(np.float64)
    current = np.hypot(active, reactive) * 1000 / voltage
    counted = customer._start_kwh.sum() + day.kwh.sum(axis=1)
    energy = counted[minutes] + np.diff(counted)[minutes] * late_ms / PERIOD_MS
    kw, kvar = active.sum(axis=1), reactive.sum(axis=1)
    return np.vstack([kw, kvar, kw / np.maximum(np.hypot(kw, kvar), 1e-9), voltage.T, current.T, energy])


def _column(name: str, values: Floats) -> Column:
    decimals = QUANTITIES[name].decimals
    return Column.of_integers(name, decimals, np.rint(values * 10**decimals).astype(np.int64).tolist())
