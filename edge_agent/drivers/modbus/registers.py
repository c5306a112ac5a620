"""Sixteen-bit registers → values in our units, and nothing else.

A wide value A B C D (A the highest byte) comes in one of four orders: ``word_order`` says whether the first register
holds the high or the low word, ``byte_order`` whether the first byte of a register is its high one:

    word big,    byte big     AB CD   as the Modbus specification has it
    word little, byte big     CD AB
    word big,    byte little  BA DC
    word little, byte little  DC BA

Packing all registers of an answer once, high byte first or low byte first, turns each of the four into a plain big- or
little-endian number, so that one ``struct`` takes all values of an order out of an answer at once.

A value is dropped, not bent: not a number, no decimal digit where one must be, outside what the profile allows, or
larger than a round can carry. A sentinel of the vendor is no reading and no fault.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, Literal, NamedTuple

from metering.quantity import QUANTITIES
from metering.round import LARGEST

Order = Literal["big", "little"]
RegisterType = Literal[
    "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "bcd16", "bcd32", "bcd64", "bit"
]
ExponentType = Literal["int16", "uint16"]
Address = tuple[int, int]
"""Function and number of a register."""

_CODES: Final[dict[str, str]] = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q",
    "float32": "f", "float64": "d", "bcd16": "H", "bcd32": "I", "bcd64": "Q", "bit": "H",
}  # fmt: skip

_NO_NUMBERS: Final = frozenset({"bcd16", "bcd32", "bcd64", "bit"})

WIDTH: Final[dict[str, int]] = {name: Struct(f">{code}").size // 2 for name, code in _CODES.items()}
"""Registers one value takes, by type."""

LARGEST_EXPONENT: Final = 10
"""What a scale register may say, either way (SunSpec Information Model Specification, type sunssf)."""

NO_EXPONENT: Final = -0x8000
"""A scale register that holds this has no scale (SunSpec, the same)."""

_LARGEST: Final = {name: LARGEST / 10**quantity.decimals for name, quantity in QUANTITIES.items()}


@dataclass(frozen=True, slots=True)
class Conversion:
    """How one quantity is read out of its registers."""

    quantity: str
    type: RegisterType
    scale: float = 1.0  # raw × scale = value in our unit, at the meter's terminals
    invalid: tuple[int | Literal["nan"], ...] = ()  # raw numbers that mean "no reading"
    minimum: float = -math.inf  # in our unit, at the meter's terminals
    maximum: float = math.inf
    word_order: Order = "big"
    byte_order: Order = "big"
    bit: int = 0  # of a register of bits, 0 = the lowest


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value stands in an answer."""

    offset: int  # registers from the start of the answer
    conversion: Conversion
    ratio: float = 1.0  # of the transformers
    exponent: Address | None = None  # of its scale register, which any answer of the same read may hold


@dataclass(frozen=True, slots=True)
class ExponentPlace:
    """Where a scale register stands in an answer."""

    offset: int
    address: Address
    type: ExponentType
    byte_order: Order = "big"


class Value(NamedTuple):
    """One decoded value; ``dropped`` says that there was a number and that it cannot be true."""

    number: float | None
    dropped: bool = False


class _Field(NamedTuple):
    """All that decoding one value needs, worked out beforehand; a tuple is quick to take apart."""

    quantity: str
    factor: float
    lowest: float  # that can be true and can travel
    highest: float
    invalid: tuple[int | Literal["nan"], ...]
    type: RegisterType
    bit: int
    exponent: Address | None


class Taken:
    """What the answers of one read have given so far."""

    __slots__ = ("_exponents", "_waiting", "dropped", "values")

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.dropped = False
        self._exponents: dict[Address, int] = {}
        self._waiting: list[tuple[_Field, float]] = []

    def add_exponent(self, address: Address, exponent: int) -> None:
        """Note what a scale register says."""
        self._exponents[address] = exponent

    def wait(self, one: _Field, raw: float) -> None:
        """Keep a number until its scale register has been seen."""
        self._waiting.append((one, raw))

    def put(self, one: _Field, number: float) -> None:
        """Note a number in our unit."""
        true = one.lowest <= number <= one.highest
        self.values[one.quantity] = number if true else None
        self.dropped = self.dropped or not true

    def drop(self, one: _Field, raw: float) -> None:
        """Note that there is no value: no fault if the vendor says so, else a number that cannot be true."""
        self.values[one.quantity] = None
        if raw not in one.invalid and not (raw != raw and "nan" in one.invalid):  # noqa: PLR0124 - not a number
            self.dropped = True

    def finish(self) -> None:
        """Scale what waited; a number whose scale register was not read stays out."""
        for one, raw in self._waiting:
            exponent = self._exponents.get(one.exponent) if one.exponent else 0
            if exponent == NO_EXPONENT:
                self.values[one.quantity] = None
            elif exponent is not None:
                possible = abs(exponent) <= LARGEST_EXPONENT
                self.put(one, raw * one.factor * 10.0**exponent if possible else math.nan)
        self._waiting.clear()


class Answer:
    """All values of one answer, compiled once and decoded many times."""

    __slots__ = ("_exponents", "_high_first", "_low_first", "_parts")

    def __init__(self, count: int, places: Iterable[Place], exponents: Iterable[ExponentPlace] = ()) -> None:
        """Prepare for answers of ``count`` registers.

        Raises:
            struct.error: places overlap or stand outside of the answer.
        """
        groups: dict[tuple[bool, bool, int], list[Place]] = defaultdict(list)
        at_offset: Counter[int] = Counter()  # several bits may stand in one register
        for place in sorted(places, key=lambda place: place.offset):
            big = place.conversion.word_order == "big"
            high_first = place.conversion.byte_order == place.conversion.word_order
            groups[high_first, big, at_offset[place.offset]].append(place)
            at_offset[place.offset] += 1
        self._high_first = Struct(f">{count}H")
        self._low_first = Struct(f"<{count}H")
        self._parts = tuple(
            (high_first, _numbers(count, big, group), tuple(map(_field, group)), any(map(_is_special, group)))
            for (high_first, big, _), group in groups.items()
        )
        self._exponents = tuple(exponents)

    def take(self, words: Sequence[int], taken: Taken) -> None:
        """Decode one answer into what has been taken so far."""
        values = taken.values
        for high_first, numbers, fields, special in self._parts:
            packed = (self._high_first if high_first else self._low_first).pack(*words)
            raws = numbers.unpack(packed)
            if special:
                _take_special(raws, fields, taken)
                continue
            for raw, one in zip(raws, fields, strict=True):
                quantity, factor, lowest, highest, invalid, _, _, _ = one
                number = raw * factor
                if lowest <= number <= highest and raw not in invalid:  # not a number compares with nothing
                    values[quantity] = number
                else:
                    taken.drop(one, raw)
        for place in self._exponents:
            taken.add_exponent(place.address, _exponent(words[place.offset], place))


def decode(words: Sequence[int], conversion: Conversion, ratio: float = 1.0, exponent: int = 0) -> Value:
    """Registers of one value → the value times ``ratio`` and ten to the power ``exponent``.

    >>> decode([0x0102, 0x0103], Conversion("voltage_l1", "int32", 1e-6))
    Value(number=16.908547, dropped=False)
    """
    taken = Taken()
    scale = (0, 0)
    taken.add_exponent(scale, exponent)
    Answer(len(words), [Place(0, conversion, ratio, scale)]).take(words, taken)
    taken.finish()
    return Value(taken.values[conversion.quantity], taken.dropped)


def _numbers(count: int, big: bool, places: Iterable[Place]) -> Struct:
    """The numbers of one order in an answer of ``count`` registers, with everything between them passed over."""
    layout = ">" if big else "<"
    at = 0
    for place in places:
        layout += f"{2 * (place.offset - at)}x{_CODES[place.conversion.type]}"
        at = place.offset + WIDTH[place.conversion.type]
    return Struct(f"{layout}{2 * (count - at)}x")


def _field(place: Place) -> _Field:
    one, largest = place.conversion, _LARGEST[place.conversion.quantity]
    lowest, highest = max(one.minimum * place.ratio, -largest), min(one.maximum * place.ratio, largest)
    factor = one.scale * place.ratio
    return _Field(one.quantity, factor, lowest, highest, one.invalid, one.type, one.bit, place.exponent)


def _is_special(place: Place) -> bool:
    return place.exponent is not None or place.conversion.type in _NO_NUMBERS


def _take_special(raws: Sequence[float], fields: Sequence[_Field], taken: Taken) -> None:
    """Numbers of which some are digits, bits, or wait for their scale register."""
    for raw, one in zip(raws, fields, strict=True):
        number: float | None = raw
        if raw in one.invalid or raw != raw:  # noqa: PLR0124 - not a number
            number = None
        elif one.type in _NO_NUMBERS:
            number = int(raw) >> one.bit & 1 if one.type == "bit" else _digits(int(raw))
        if number is None:
            taken.drop(one, raw)
        elif one.exponent is not None:
            taken.wait(one, number)
        else:
            taken.put(one, number * one.factor)


def _digits(packed: int) -> int | None:
    """Packed decimal digits as a number; ``None`` if one of them is none."""
    text = f"{packed:x}"
    return int(text) if text.isdecimal() else None


def _exponent(word: int, place: ExponentPlace) -> int:
    value = word if place.byte_order == "big" else (word & 0xFF) << 8 | word >> 8
    return value - 0x1_0000 if place.type == "int16" and value >= 0x8000 else value  # noqa: PLR2004 - its sign bit
