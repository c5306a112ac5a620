"""What every bus has to do: which meters each rate group reads there, and how much of the line's time that takes.

A line that is asked for more than all of its time falls behind for ever, so this is reckoned before the start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_agent.drivers.driver import Cost, Driver
from edge_agent.drivers.registry import MeterSettings
from edge_agent.polling.rate_group import GroupSettings, share

Asks = dict[str, list[tuple[str, frozenset[str]]]]
"""By bus: the meters to be read, and which of their quantities."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one rate group costs one bus, once a period."""

    group: str
    period_s: float
    meters: int
    cost: Cost

    @property
    def share(self) -> float:
        """Of the line's time."""
        return self.cost.line_s / self.period_s


def asks_of(
    group: GroupSettings,
    groups: tuple[GroupSettings, ...],
    meters: Sequence[MeterSettings],
    drivers: Mapping[str, Driver],
) -> Asks:
    """What one rate group reads: by bus, the meters that have any of its quantities, and which."""
    asks: Asks = {bus: [] for bus in drivers}
    for meter in meters:
        wanted = share(group, groups, drivers[meter.bus].offers(meter.id))
        if wanted:
            asks[meter.bus].append((meter.id, wanted))
    return {bus: on_bus for bus, on_bus in asks.items() if on_bus}


def loads_of(
    groups: tuple[GroupSettings, ...], meters: Sequence[MeterSettings], drivers: Mapping[str, Driver]
) -> dict[str, list[Load]]:
    """What each bus has to do for every rate group; the sum of the shares is how busy its line is."""
    loads: dict[str, list[Load]] = {bus: [] for bus in drivers}
    for group in groups:
        for bus, asks in asks_of(group, groups, meters, drivers).items():
            costs = [drivers[bus].cost(meter, wanted) for meter, wanted in asks]
            total = Cost(*(sum(part) for part in zip(*costs, strict=True)))
            loads[bus].append(Load(group.id, group.period_ms / 1000, len(asks), total))
    return loads
