"""Reads the meters of one Modbus bus by their profiles: plan, ask block by block, decode.

A block the meter refuses costs the quantities it does not have, not the others, and only until the driver has learned
which they are (``refusals``). A SunSpec meter is asked once where its registers stand. Silence ends the read; what was
heard before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.profile import Profile, ProfileRegister
from edge_agent.drivers.modbus.read_plan import Limits, Span
from edge_agent.drivers.modbus.refusals import Inquiry, Known, Refusals
from edge_agent.drivers.modbus.registers import Taken
from edge_agent.drivers.modbus.request import Request, requests_for
from metering.clock import Clock
from metering.round import Quality


class Link(Protocol):
    """What the driver needs of a link."""

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        ...

    async def connect(self) -> ReadFailure | None:
        """Open the connection."""
        ...

    async def read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask one unit for one block."""
        ...

    def close(self) -> None:
        """Drop the connection."""
        ...


@dataclass(frozen=True, slots=True)
class ModbusMeter:
    """One meter on the bus."""

    unit: int
    profile: Profile
    ct_ratio: float = 1.0
    pt_ratio: float = 1.0

    @property
    def ratios(self) -> tuple[float, float]:
        """Of the current and of the voltage transformers."""
        return self.ct_ratio, self.pt_ratio


@dataclass(frozen=True, slots=True)
class _Map:
    """Where the registers of a meter stand."""

    registers: tuple[ProfileRegister, ...]
    base: int = 0


class ModbusDriver:
    """All meters of one bus."""

    def __init__(self, link: Link, meters: Mapping[str, ModbusMeter], clock: Clock) -> None:
        self._link = link
        self._meters = meters
        self._clock = clock
        self._refusals: dict[str, Refusals] = {}
        self._maps: dict[str, _Map] = {}
        self._requests: dict[tuple[object, ...], tuple[Request, ...]] = {}

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        return self._link.connected

    async def connect(self) -> ReadFailure | None:
        """Open the line, and forget what was learned of the meters on it."""
        self._refusals.clear()
        self._maps.clear()
        return await self._link.connect()

    def close(self) -> None:
        """Let the line go."""
        self._link.close()

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's profile; of a SunSpec meter that has answered, those it has."""
        if meter in self._maps:
            return frozenset(register.quantity for register in self._maps[meter].registers)
        return self._meters[meter].profile.quantities

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Requests, registers and line time of one read; the dearest there may be while the map is not known."""
        known = [self._maps[meter]] if meter in self._maps else map(_Map, self._meters[meter].profile.maps)
        return max((self._cost(meter, one, quantities) for one in known), key=lambda cost: cost.line_s)

    def _cost(self, meter: str, of_map: _Map, quantities: frozenset[str]) -> Cost:
        counts = [request.block.count for request in self._plan(meter, of_map, quantities)]
        return Cost(len(counts), sum(counts), sum(self._link.pace.read_s(count) for count in counts))

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask for every block that holds one of the quantities."""
        of = self._meters[meter]
        of_map = self._map(meter)
        inquiry = Inquiry(self._plan(meter, of_map, quantities))
        taken = Taken()
        failure: ReadFailure | None = None
        while request := inquiry.next():
            words = await self._link.read(of.unit, request.function, request.block)
            if not isinstance(words, ReadFailure):
                request.answer.take(words, taken)
                inquiry.answered()
                continue
            failure = words
            if failure.reason is not Reason.EXCEPTION:
                break
            inquiry.refused(failure.code)
        if failure is not None:
            if not inquiry.answers:
                return failure
            self._refused(meter).learn(*inquiry.proved())
        taken.finish()
        values = taken.values
        for quantity in (quantities & self.offers(meter)) - values.keys():
            values[quantity] = None
        quality = Quality.OUT_OF_RANGE if taken.dropped else GOOD
        if None in values.values():
            quality |= Quality.PARTIAL
        return Reading(self._clock.now_ms(), values, quality, inquiry.asked)

    def _map(self, meter: str) -> _Map:
        return self._maps.get(meter) or _Map(self._meters[meter].profile.registers)

    def _refused(self, meter: str) -> Refusals:
        return self._refusals.setdefault(meter, Refusals())

    def _plan(self, meter: str, of_map: _Map, quantities: frozenset[str]) -> tuple[Request, ...]:
        """Planned once for all meters that are asked for the same and refuse the same."""
        of = self._meters[meter]
        known = self._refusals[meter].at(self._clock.now_ms()) if meter in self._refusals else Known()
        key = (id(of.profile), of.ratios, id(of_map.registers), of_map.base, quantities, known)
        if key not in self._requests:
            self._requests[key] = self._planned(of, of_map, quantities, known)
        return self._requests[key]

    def _planned(self, of: ModbusMeter, of_map: _Map, quantities: frozenset[str], known: Known) -> tuple[Request, ...]:
        profile = of.profile
        cost = self._link.pace.request_cost
        wanted = [register for register in of_map.registers if register.quantity in quantities]
        there = [
            register
            for register in wanted
            if (profile.function_of(register), Span(register.address + of_map.base, register.span.count))
            not in known.values
        ]

        def limits(function: int) -> Limits:
            return profile.blocks.limits(cost, known.stretches(function))

        return requests_for(profile, there or wanted, limits, of.ratios, of_map.base)
