"""Reads the meters of one Modbus bus by their profiles: plan, ask block by block, decode.

A block the meter refuses costs the quantities it does not have, not the others, and only until the driver has learned
which they are (``refusals``). A SunSpec meter is asked where its registers stand, and again after a read that gave
nothing. Silence ends the read; what was heard before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.profile import Profile, ProfileRegister, SunSpec
from edge_agent.drivers.modbus.read_plan import Limits, Span
from edge_agent.drivers.modbus.refusals import Inquiry, Known, Refusals
from edge_agent.drivers.modbus.registers import Taken
from edge_agent.drivers.modbus.request import Request, requests_for
from edge_agent.drivers.modbus.sunspec import Found, NamePlate, discovery
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


class ModbusDriver:
    """All meters of one bus."""

    def __init__(self, link: Link, meters: Mapping[str, ModbusMeter], clock: Clock) -> None:
        self._link = link
        self._meters = meters
        self._clock = clock
        self._refusals: dict[str, Refusals] = {}
        self._found: dict[str, Found] = {}
        self._requests: dict[tuple[object, ...], tuple[Request, ...]] = {}

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        return self._link.connected

    async def connect(self) -> ReadFailure | None:
        """Open the line, and forget what was learned of the meters on it."""
        self._refusals.clear()
        self._found.clear()
        return await self._link.connect()

    def close(self) -> None:
        """Let the line go."""
        self._link.close()

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's profile; of a SunSpec meter that has answered, those it has."""
        if meter in self._found:
            return frozenset(register.quantity for register in self._found[meter].registers)
        return self._meters[meter].profile.quantities

    def name_plate(self, meter: str) -> NamePlate | None:
        """Who made the meter, if it is a SunSpec meter that has answered."""
        return self._found[meter].plate if meter in self._found else None

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Requests, registers and line time of one read; the dearest there may be while the map is not known."""
        known = self._found.get(meter)
        maps = (known.registers,) if known else self._meters[meter].profile.maps
        return max((self._cost(meter, one, quantities) for one in maps), key=lambda cost: cost.line_s)

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask for every block that holds one of the quantities."""
        of = self._meters[meter]
        looked = 0
        if of.profile.sunspec and meter not in self._found:
            outcome, looked = await self._discover(of, of.profile.sunspec)
            if isinstance(outcome, ReadFailure):
                return outcome
            self._found[meter] = outcome
        found = self._found.get(meter)
        map_ = (found.registers, found.base) if found else (of.profile.registers, 0)
        inquiry = Inquiry(self._plan(meter, *map_, quantities))
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
                self._found.pop(meter, None)  # another meter may stand there when it answers again
                return failure
            self._refusals.setdefault(meter, Refusals(self._clock.now_ms()))
        if meter in self._refusals:
            self._refusals[meter].learn(inquiry)
        taken.finish()
        return self._reading(taken, quantities & self.offers(meter), looked + inquiry.asked)

    def _reading(self, taken: Taken, wanted: frozenset[str], requests: int) -> Reading:
        values = taken.values
        for quantity in wanted - values.keys():
            values[quantity] = None
        quality = Quality.OUT_OF_RANGE if taken.dropped else GOOD
        if None in values.values():
            quality |= Quality.PARTIAL
        return Reading(self._clock.now_ms(), values, quality, requests)

    async def _discover(self, of: ModbusMeter, sunspec: SunSpec) -> tuple[Found | ReadFailure, int]:
        """Ask a SunSpec meter where its registers stand; with the number of requests."""
        walk = discovery(sunspec)
        block, asked = next(walk), 0
        while True:
            answer = await self._link.read(of.unit, of.profile.function, block)
            asked += 1
            if isinstance(answer, ReadFailure) and answer.reason is not Reason.EXCEPTION:
                return answer, asked
            try:
                block = walk.send(None if isinstance(answer, ReadFailure) else answer)
            except StopIteration as end:
                found: Found | str = end.value
                return found if isinstance(found, Found) else ReadFailure(Reason.GARBLED, found), asked

    def _cost(self, meter: str, registers: tuple[ProfileRegister, ...], quantities: frozenset[str]) -> Cost:
        counts = [request.block.count for request in self._plan(meter, registers, 0, quantities)]
        return Cost(len(counts), sum(counts), sum(self._link.pace.read_s(count) for count in counts))

    def _plan(
        self, meter: str, registers: tuple[ProfileRegister, ...], base: int, quantities: frozenset[str]
    ) -> tuple[Request, ...]:
        """Planned once for all meters that are asked for the same and refuse the same."""
        of = self._meters[meter]
        known = self._refusals[meter].at(self._clock.now_ms()) if meter in self._refusals else Known()
        key = (id(registers), base, of.ratios, quantities, known)
        if key not in self._requests:
            wanted = [register for register in registers if register.quantity in quantities]
            self._requests[key] = self._planned(of, wanted, base, known)
        return self._requests[key]

    def _planned(self, of: ModbusMeter, wanted: list[ProfileRegister], base: int, known: Known) -> tuple[Request, ...]:
        profile = of.profile
        cost = self._link.pace.request_cost

        def limits(function: int) -> Limits:
            return profile.blocks.limits(cost, known.stretches(function))

        def there(register: ProfileRegister) -> bool:
            spans = [span for span in (register.span, register.scale_span) if span]
            function = profile.function_of(register)
            return not any((function, Span(span.address + base, span.count)) in known.values for span in spans)

        return requests_for(profile, list(filter(there, wanted)) or wanted, limits, of.ratios, base)
