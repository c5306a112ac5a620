"""Reads every configured meter twice, a moment apart, and once in every other order if its voltages are absurd.

While the agent runs no other order is tried: the line is the agent's.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final, get_args

from edge_agent.commissioning.sanity import Finding, Plate, Values, better_order, credible, fallen, suspicions
from edge_agent.config import GatewaySettings
from edge_agent.desk import door_beside, is_open
from edge_agent.drivers.driver import Driver, Reading
from edge_agent.drivers.modbus.registers import Order
from edge_agent.drivers.registry import MeterSettings, ModbusMeterSettings, ProfileShelf, make_driver
from edge_agent.survey import Answer, ask
from metering.clock import Clock

_APART_S: Final = 1.0
_ORDERS: Final = tuple((words, octets) for words in get_args(Order) for octets in get_args(Order))
_TELLING: Final = frozenset({"voltage_l1", "voltage_l2", "voltage_l3"})


@dataclass(frozen=True, slots=True)
class Inspected:
    """One meter: what it said, and what is suspicious about it."""

    answer: Answer
    findings: list[Finding] = field(default_factory=list)


async def inspect(settings: GatewaySettings, clock: Clock) -> list[Inspected]:
    """Ask all meters; those that do not answer have no findings."""
    started_s = time.monotonic()
    first = await ask(settings, clock)
    if not any(isinstance(one.outcome, Reading) for one in first):
        return [Inspected(one) for one in first]
    await asyncio.sleep(_APART_S)
    second = await ask(settings, clock)
    between_s = time.monotonic() - started_s
    shelf = ProfileShelf(settings.profiles)
    free = not await is_open(door_beside(settings.spool.path))  # the agent reads in the order of its map only
    found = []
    for meter, before, after in zip(settings.meters, first, second, strict=True):
        if not isinstance(before.outcome, Reading):
            found.append(Inspected(before))
            continue
        values = before.outcome.values
        findings = suspicions(values, plate_of(meter, shelf))
        if isinstance(after.outcome, Reading):
            findings += fallen(values, after.outcome.values, between_s)
        if free and _TELLING & values.keys() and not credible(values, meter.pt_ratio):
            findings += better_order(await _other_orders(settings, meter, shelf, clock), meter.pt_ratio)
        found.append(Inspected(before, findings))
    return found


def plate_of(meter: MeterSettings, shelf: ProfileShelf) -> Plate:
    """What the file and the profile say about a meter."""
    profile = shelf.of(meter)
    rated = meter.maximum_current_a or (profile.rating.maximum_current_a if profile.rating else None)
    return Plate(meter.ct_ratio, meter.pt_ratio, rated, profile.displays == "primary")


async def _other_orders(
    settings: GatewaySettings, meter: MeterSettings, shelf: ProfileShelf, clock: Clock
) -> dict[tuple[str, str], Values]:
    """The voltages of one meter as they read in every other word and byte order."""
    if not isinstance(meter, ModbusMeterSettings):
        return {}  # the other protocols have one order
    profile = shelf.profile(meter.profile)
    bus = next(one for one in settings.buses if one.id == meter.bus)
    tried: dict[tuple[str, str], Values] = {}
    for words, octets in _ORDERS:
        if (words, octets) == (profile.word_order, profile.byte_order):
            continue
        changed = profile.model_copy(update={"word_order": words, "byte_order": octets})
        held = ProfileShelf(held={meter.profile: changed})
        values = await _voltages(make_driver(bus, [meter], held, clock), meter.id)
        if values is not None:
            tried[words, octets] = values
    return tried


async def _voltages(driver: Driver, meter: str) -> Values | None:
    try:
        if await driver.connect() is not None:
            return None
        outcome = await driver.read(meter, _TELLING & driver.offers(meter))
        return outcome.values if isinstance(outcome, Reading) else None
    finally:
        driver.close()
