"""What a meter is asked for a set of quantities: blocks of registers, and how each answer is decoded.

Meters of one model that are asked for the same share their requests: what is compiled here knows nothing of one meter
but its transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edge_agent.drivers.modbus.profile import Profile, ProfileRegister
from edge_agent.drivers.modbus.read_plan import Bond, Limits, Span, plan, told_apart
from edge_agent.drivers.modbus.registers import (
    Address,
    Answer,
    Conversion,
    ExponentPlace,
    ExponentType,
    Order,
    Place,
)
from edge_agent.drivers.transformers import transformer_ratio


@dataclass(frozen=True, slots=True)
class Item:
    """One value: its registers and how they are read."""

    function: int
    span: Span
    conversion: Conversion
    ratio: float
    scale: Scale | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale register."""

    function: int
    span: Span
    type: ExponentType
    byte_order: Order

    @property
    def address(self) -> Address:
        """Its function and number."""
        return self.function, self.span.address


class Request:
    """One block, and what its answer holds."""

    __slots__ = ("_items", "answer", "block", "function", "spans")

    def __init__(self, function: int, block: Span, items: Sequence[Item]) -> None:
        """Take from ``items`` what stands inside ``block``."""
        self.function = function
        self.block = block
        self._items = [item for item in items if item.function == function]
        values = [item for item in self._items if block.holds(item.span)]
        scales = {item.scale for item in self._items if item.scale and block.holds(item.scale.span)}
        self.spans = tuple(sorted({item.span for item in values} | {scale.span for scale in scales}))
        self.answer = Answer(
            block.count,
            [
                Place(
                    item.span.address - block.address,
                    item.conversion,
                    item.ratio,
                    item.scale.address if item.scale else None,
                )
                for item in values
            ],
            [ExponentPlace(one.span.address - block.address, one.address, one.type, one.byte_order) for one in scales],
        )

    @property
    def bare(self) -> Span:
        """The block without registers that nobody asked for behind it."""
        return Span(self.block.address, self.spans[-1].end - self.block.address)

    def part(self, spans: Sequence[Span]) -> Request:
        """A request for some of the spans."""
        return Request(self.function, Span(spans[0].address, spans[-1].end - spans[0].address), self._items)


def requests_for(
    profile: Profile,
    registers: Iterable[ProfileRegister],
    limits: Callable[[int], Limits],
    ratios: tuple[float, float],
    base: int = 0,
) -> tuple[Request, ...]:
    """The cheapest requests that fetch some registers of a map.

    Args:
        profile: the map's profile, for its orders and for what else can be read.
        registers: what is wanted.
        limits: what one read with a function may be.
        ratios: of the current and of the voltage transformers.
        base: what addresses count from.
    """
    items = [_item(profile, register, ratios, base) for register in registers]
    found: list[Request] = []
    for function in sorted({item.function for item in items}):
        here = [item for item in items if item.function == function]
        bonds: list[Bond] = [(item.span, item.scale.span) for item in here if item.scale]
        spans = [item.span for item in here] + [scale for _, scale in bonds]
        blocks = plan(spans, limits(function), bonds)
        mapped = [
            Span(one.address + base, one.count)
            for of_map in profile.maps
            for register in of_map
            if profile.function_of(register) == function
            for one in (register.span, register.scale_span)
            if one is not None
        ]
        blocks = told_apart(blocks, spans if profile.sunspec else mapped, limits(function))
        found += [Request(function, block, here) for block in blocks]
    return tuple(found)


def _item(profile: Profile, register: ProfileRegister, ratios: tuple[float, float], base: int) -> Item:
    function = profile.function_of(register)
    conversion = profile.conversion(register)
    scale = None
    if register.scale_register:
        span = Span(register.scale_register.address + base, 1)
        scale = Scale(function, span, register.scale_register.type, conversion.byte_order)
    span = Span(register.address + base, register.span.count)
    return Item(function, span, conversion, transformer_ratio(register.quantity, *ratios), scale)
