"""Every type in every order: registers written by hand, byte by byte, become the number that was written."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge_agent.drivers.modbus.registers import (
    WIDTH,
    Answer,
    Conversion,
    ExponentPlace,
    Place,
    Taken,
    Value,
    decode,
)

INTEGERS = {
    "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1), "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1),
}  # fmt: skip
DIGITS = {"bcd16": 4, "bcd32": 8, "bcd64": 16}
FLOATS = {"float32": 32, "float64": 64}
ORDERS = st.sampled_from(["big", "little"])
LARGEST = 1e12  # what a round can carry of a quantity with three decimals


def octets(kind: str, number: float) -> bytes:
    """The highest byte first; written here once more, without the tables of the decoder."""
    if kind in INTEGERS:
        return int(number).to_bytes(2 * WIDTH[kind], "big", signed=kind.startswith("int"))
    if kind in DIGITS:
        return bytes.fromhex(f"{int(number):0{DIGITS[kind]}d}")
    return struct.pack(">f" if kind == "float32" else ">d", number)


def registers(content: bytes, word_order: str, byte_order: str) -> list[int]:
    """ABCD, CDAB, BADC, DCBA."""
    pairs = [content[at : at + 2] for at in range(0, len(content), 2)]
    if word_order == "little":
        pairs.reverse()
    if byte_order == "little":
        pairs = [pair[::-1] for pair in pairs]
    return [pair[0] * 256 + pair[1] for pair in pairs]


def numbers(kind: str) -> st.SearchStrategy[float]:
    if kind in INTEGERS:
        return st.integers(*INTEGERS[kind])
    if kind in DIGITS:
        return st.integers(0, 10 ** DIGITS[kind] - 1)
    return st.floats(width=FLOATS[kind], allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]


@st.composite
def written(draw: st.DrawFn) -> tuple[str, float]:
    kind = draw(st.sampled_from([*INTEGERS, *DIGITS, *FLOATS]))
    return kind, draw(numbers(kind))


@settings(deadline=None)
@given(written(), ORDERS, ORDERS, st.sampled_from([1.0, 0.1, 0.001, -1.0, 10.0]), st.sampled_from([1.0, 40.0]))
def test_what_is_written_is_read(what, word_order, byte_order, scale, ratio):
    kind, number = what
    assume(abs(number * scale * ratio) <= LARGEST)
    conversion = Conversion("active_power", kind, scale, word_order=word_order, byte_order=byte_order)

    value = decode(registers(octets(kind, number), word_order, byte_order), conversion, ratio)

    assert value == Value(pytest.approx(number * scale * ratio, rel=1e-12, abs=1e-300))


@settings(deadline=None)
@given(written(), ORDERS, ORDERS)
def test_a_sentinel_is_no_reading_in_every_type_and_order(what, word_order, byte_order):
    kind, number = what
    sentinel = int.from_bytes(octets(kind, number)) if kind in DIGITS else number
    conversion = Conversion("active_power", kind, 1, (sentinel,), word_order=word_order, byte_order=byte_order)

    assert decode(registers(octets(kind, number), word_order, byte_order), conversion) == Value(None)


@settings(deadline=None)
@given(written(), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bounds_hold_before_the_ratio(what, one, other):
    kind, number = what
    low, high = sorted((one, other))
    assume(abs(number) <= LARGEST / 1000)
    conversion = Conversion("active_power", kind, minimum=low, maximum=high)

    value = decode(registers(octets(kind, number), "big", "big"), conversion, 40)

    if low <= number <= high:
        assert value == Value(pytest.approx(number * 40))
    else:
        assert value == Value(None, dropped=True)


@settings(deadline=None)
@given(st.sampled_from([*DIGITS]), ORDERS, ORDERS, st.data())
def test_a_digit_that_is_none_drops_the_value(kind, word_order, byte_order, data):
    text = data.draw(st.text("0123456789abcdef", min_size=DIGITS[kind], max_size=DIGITS[kind]))
    conversion = Conversion("active_power", kind, 1e-6, word_order=word_order, byte_order=byte_order)

    value = decode(registers(bytes.fromhex(text), word_order, byte_order), conversion)

    expected = Value(pytest.approx(int(text) * 1e-6)) if text.isdecimal() else Value(None, dropped=True)
    assert value == expected


@settings(deadline=None)
@given(st.integers(0, 0xFFFF), st.integers(0, 15), ORDERS)
def test_a_bit_is_one_or_nothing(word, bit, byte_order):
    conversion = Conversion("demand", "bit", bit=bit, byte_order=byte_order)
    sent = registers(word.to_bytes(2), "big", byte_order)

    assert decode(sent, conversion) == Value(float(word >> bit & 1))


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_dropped_unless_the_vendor_says_it_means_nothing(kind, number):
    sent = registers(octets(kind, number), "big", "big")

    assert decode(sent, Conversion("demand", kind)) == Value(None, dropped=True)
    silent = Value(None, dropped=not math.isnan(number))
    assert decode(sent, Conversion("demand", kind, invalid=("nan",))) == silent


@settings(deadline=None)
@given(st.integers(-1000, 1000), st.integers(-0x8000, 0x7FFF))
def test_a_scale_register_is_a_power_of_ten_and_nothing_else(number, exponent):
    conversion = Conversion("active_power", "int16", 0.001)

    value = decode(registers(octets("int16", number), "big", "big"), conversion, 2, exponent)

    if exponent == -0x8000:
        assert value == Value(None)
    elif abs(exponent) > 10 or abs(number * 0.002 * 10.0**exponent) > LARGEST:
        assert value == Value(None, dropped=True)
    else:
        assert value == Value(pytest.approx(number * 0.002 * 10.0**exponent))


@settings(deadline=None)
@given(st.lists(written(), min_size=1, max_size=12), st.data())
def test_an_answer_gives_the_same_values_together_as_each_alone(what, data):
    """Holes, types and orders mixed, and scale registers in the same answer or in another one."""
    names = [f"{kind}_l{n}" for kind in ("active_power", "reactive_power", "apparent_power") for n in (1, 2, 3)]
    what = what[: len(names)]
    sent: list[int] = []
    places, alone = [], {}
    exponent = data.draw(st.integers(-3, 3))
    for name, (kind, number) in zip(names, what, strict=False):
        sent += data.draw(st.lists(st.integers(0, 0xFFFF), max_size=3))  # what stands in a hole
        one = Conversion(name, kind, 0.001, word_order=data.draw(ORDERS), byte_order=data.draw(ORDERS))
        here = registers(octets(kind, number), one.word_order, one.byte_order)
        scaled = data.draw(st.booleans())
        places.append(Place(len(sent), one, 3.0, (3, 999) if scaled else None))
        alone[name] = decode(here, one, 3.0, exponent if scaled else 0)
        sent += here
    byte_order = data.draw(ORDERS)
    scale = registers((exponent & 0xFFFF).to_bytes(2), "big", byte_order)
    place = ExponentPlace(0, (3, 999), "int16", byte_order)
    taken = Taken()

    Answer(len(sent), places).take(sent, taken)
    Answer(1, [], [place]).take(scale, taken)
    taken.finish()

    assert taken.values == {name: value.number for name, value in alone.items()}
    assert taken.dropped is any(value.dropped for value in alone.values())


def test_a_number_whose_scale_was_not_read_stays_out():
    taken = Taken()
    Answer(1, [Place(0, Conversion("demand", "int16"), exponent=(3, 7))]).take([5], taken)
    taken.finish()

    assert taken.values == {}


def test_several_bits_stand_in_one_register():
    taken = Taken()
    bits = [Place(0, Conversion(name, "bit", bit=bit)) for name, bit in (("demand", 0), ("frequency", 3))]
    Answer(1, bits).take([0b1000], taken)

    assert taken.values == {"demand": 0.0, "frequency": 1.0}
