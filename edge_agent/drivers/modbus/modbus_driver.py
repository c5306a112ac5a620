"""Reads the meters of one Modbus bus by their profiles: plan, ask block by block, decode.

A block the meter refuses costs the quantities in it, not the others: models of one series differ in what
they have. Silence ends the read; what was heard before it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.modbus.profile import Profile, ProfileRegister
from edge_agent.drivers.modbus.read_plan import Span, plan
from edge_agent.drivers.modbus.registers import Conversion, decode, transformer_ratio
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


@dataclass(frozen=True, slots=True)
class _Item:
    """One value inside a block."""

    offset: int
    count: int
    conversion: Conversion
    ratio: float


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request and what to take out of its answer."""

    block: Span
    items: tuple[_Item, ...]


class ModbusDriver:
    """All meters of one bus."""

    def __init__(self, link: Link, meters: Mapping[str, ModbusMeter], clock: Clock) -> None:
        self._link = link
        self._meters = meters
        self._clock = clock
        self._asks: dict[tuple[str, frozenset[str]], tuple[_Ask, ...]] = {}

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        return self._link.connected

    async def connect(self) -> ReadFailure | None:
        """Open the line."""
        return await self._link.connect()

    def close(self) -> None:
        """Let the line go."""
        self._link.close()

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's profile."""
        return self._meters[meter].profile.quantities

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Requests, registers and line time of one read."""
        counts = [ask.block.count for ask in self._plan(meter, quantities)]
        return Cost(len(counts), sum(counts), sum(self._link.pace.read_s(count) for count in counts))

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask for every block that holds one of the quantities."""
        values: dict[str, float | None] = {}
        failure: ReadFailure | None = None
        answers = 0
        dropped = False
        asks = self._plan(meter, quantities)
        of = self._meters[meter]
        for ask in asks:
            words = await self._link.read(of.unit, of.profile.function, ask.block)
            if isinstance(words, ReadFailure):
                failure = words
                if failure.reason is Reason.EXCEPTION:
                    continue
                break
            answers += 1
            dropped = self._take(meter, ask, words, values) or dropped
        if failure is not None and not answers:
            return failure
        missing = (quantities & self.offers(meter)) - values.keys()
        values |= dict.fromkeys(missing)
        quality = Quality.OUT_OF_RANGE if dropped else GOOD
        if None in values.values():
            quality |= Quality.PARTIAL
        return Reading(self._clock.now_ms(), values, quality, len(asks))

    def _take(self, meter: str, ask: _Ask, words: list[int], values: dict[str, float | None]) -> bool:
        """Decode one answer; whether a value had to be dropped."""
        dropped = False
        order = self._meters[meter].profile.word_order
        for item in ask.items:
            value = decode(words[item.offset : item.offset + item.count], order, item.conversion, item.ratio)
            values[item.conversion.quantity] = value.number
            dropped = dropped or value.dropped
        return dropped

    def _plan(self, meter: str, quantities: frozenset[str]) -> tuple[_Ask, ...]:
        """Planned once for each meter and rate group, then remembered."""
        key = (meter, quantities)
        if key not in self._asks:
            profile = self._meters[meter].profile
            wanted = [register for register in profile.registers if register.quantity in quantities]
            blocks = plan((register.span for register in wanted), profile.limits(self._link.pace.request_cost))
            self._asks[key] = tuple(_Ask(block, self._items(meter, block, wanted)) for block in blocks)
        return self._asks[key]

    def _items(self, meter: str, block: Span, wanted: list[ProfileRegister]) -> tuple[_Item, ...]:
        of = self._meters[meter]
        return tuple(
            _Item(
                register.address - block.address,
                register.span.count,
                register.conversion,
                transformer_ratio(register.quantity, of.ct_ratio, of.pt_ratio),
            )
            for register in wanted
            if block.address <= register.address < block.end
        )
