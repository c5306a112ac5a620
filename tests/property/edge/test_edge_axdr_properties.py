"""Whatever is encoded comes back; whatever else arrives is refused with one kind of error."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.dlms.axdr import BitString, Data, Tag, Value, decode, encode, encode_length, length_at
from edge_agent.drivers.dlms.errors import Malformed

_RANGES = {
    Tag.INT8: (-(2**7), 2**7 - 1),
    Tag.INT16: (-(2**15), 2**15 - 1),
    Tag.INT32: (-(2**31), 2**31 - 1),
    Tag.INT64: (-(2**63), 2**63 - 1),
    Tag.UINT8: (0, 2**8 - 1),
    Tag.UINT16: (0, 2**16 - 1),
    Tag.UINT32: (0, 2**32 - 1),
    Tag.UINT64: (0, 2**64 - 1),
    Tag.ENUM: (0, 255),
    Tag.BCD: (0, 99),
}


def _typed(tag: Tag, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Data]:
    return values.map(lambda value: Data(tag, value))


_bit_strings = st.binary(max_size=20).flatmap(
    lambda octets: st.integers(max(0, 8 * len(octets) - 7), 8 * len(octets)).map(lambda n: BitString(n, octets))
)
_scalars = st.one_of(
    st.just(Data(Tag.NULL)),
    _typed(Tag.BOOLEAN, st.booleans()),
    *(_typed(tag, st.integers(low, high)) for tag, (low, high) in _RANGES.items()),
    _typed(Tag.FLOAT32, st.floats(width=32, allow_nan=False)),
    _typed(Tag.FLOAT64, st.floats(allow_nan=False)),
    _typed(Tag.OCTET_STRING, st.binary(max_size=300)),
    _typed(Tag.VISIBLE_STRING, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)),
    _typed(Tag.UTF8_STRING, st.text(st.characters(codec="utf-8"), max_size=40)),
    _typed(Tag.BIT_STRING, _bit_strings),
    _typed(Tag.DATE_TIME, st.binary(min_size=12, max_size=12)),
    _typed(Tag.DATE, st.binary(min_size=5, max_size=5)),
    _typed(Tag.TIME, st.binary(min_size=4, max_size=4)),
)


def _nested(depth: int) -> st.SearchStrategy[Data]:
    if not depth:
        return _scalars
    elements = st.lists(_nested(depth - 1), max_size=4).map(tuple)
    return _scalars | _typed(Tag.ARRAY, elements) | _typed(Tag.STRUCTURE, elements)


_data = _nested(3)


def plain(data: Data) -> Value:
    return [plain(element) for element in data.value] if isinstance(data.value, tuple) and data.tag < 3 else data.value  # type: ignore[arg-type]


@settings(max_examples=300, deadline=None)
@given(_data)
def test_what_is_encoded_comes_back(data: Data) -> None:
    assert decode(encode(data)) == plain(data)


@settings(max_examples=200, deadline=None)
@given(_data, st.data())
def test_what_is_cut_is_refused(data: Data, draw: st.DataObject) -> None:
    octets = encode(data)
    end = draw.draw(st.integers(0, len(octets) - 1))
    try:
        decode(octets[:end])
    except Malformed:
        return
    raise AssertionError("a part was taken for the whole")


@given(st.integers(0, 2**32 - 1))
def test_lengths_come_back_from_the_shortest_field(length: int) -> None:
    field = encode_length(length)

    assert length_at(field, 0) == (length, len(field))
    assert len(field) <= 5


def test_fifteen_thousand_damaged_values_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(20_250_301)
    good = bytes.fromhex(
        "01090600000005174120000018402400000000000009 02aabb0c03e4b8ad0408a0000202030116ff14ffffffffffffffff"
    )
    refused = 0
    for number in range(15_000):
        noise = bytearray(good) if number % 3 else bytearray(rng.randbytes(rng.randrange(1, 60)))
        for _ in range(rng.randint(1, 4)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        try:
            decode(bytes(noise))
        except Malformed:
            refused += 1

    assert 7_000 < refused < 15_000
