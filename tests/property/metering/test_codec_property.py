"""Whatever is encoded is decoded; whatever else arrives is one error, cheaply."""

from __future__ import annotations

import struct
import tracemalloc

import msgspec
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering import codec
from metering.body_rules import EARLIEST_MS, LATEST_MS, MAX_MISSED, MAX_ROWS
from metering.codec import decode, encode_packed, read_envelope
from metering.errors import DecodeError
from metering.message import Envelope, Message
from metering.meter_event import MeterEvent, MeterEvents
from metering.packed_body import encode_body
from metering.plain_message import encode_plain
from metering.quantity import QUANTITIES
from metering.round import LARGEST, NULL, Column, Gap, Origin, Quality, Round, pack, unpack

identifiers = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
times = st.integers(EARLIEST_MS, LATEST_MS)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    seq = draw(st.integers(1, 2**63 - 1))
    return Envelope(draw(st.integers(0, 2**64 - 1)), seq, draw(st.integers(0, min(seq, 2**32) - 1)))


@st.composite
def rounds(draw: st.DrawFn) -> Round:
    origin = draw(st.sampled_from(Origin))
    meters = draw(st.lists(identifiers, min_size=1, max_size=5, unique=origin is Origin.LIVE))
    rows = len(meters)
    numbers = st.none() | st.integers(-LARGEST, LARGEST) | st.integers(-(2**31) + 1, 2**31 - 1)
    columns = tuple(
        Column.of_integers(name, draw(st.integers(0, 9)), draw(st.lists(numbers, min_size=rows, max_size=rows)))
        for name in draw(st.lists(st.sampled_from(sorted(QUANTITIES)), min_size=1, max_size=4, unique=True))
    )
    return Round(
        draw(identifiers),
        draw(identifiers),
        origin,
        draw(st.integers(1, 86_400_000)),
        draw(times),
        tuple(meters),
        pack(draw(st.lists(times, min_size=rows, max_size=rows)), "q"),
        pack(draw(st.lists(st.integers(0, 2**32 - 1), min_size=rows, max_size=rows)), "I"),
        columns,
    )


@st.composite
def meter_events(draw: st.DrawFn) -> MeterEvents:
    qualities = st.integers(0, 2**32 - 1).map(Quality)
    entries = draw(st.lists(st.tuples(identifiers, times, st.sampled_from(MeterEvent), qualities), max_size=5))
    missed = st.dictionaries(identifiers, st.integers(0, MAX_MISSED), min_size=not entries, max_size=3)
    return MeterEvents.of(draw(identifiers), entries, draw(missed))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    envelope = draw(envelopes())
    kind = draw(st.sampled_from(["round", "meter_events", "gap"]))
    if kind == "round":
        return Message(envelope, draw(rounds()))
    if kind == "meter_events":
        return Message(envelope, draw(meter_events()))
    first = draw(st.integers(envelope.oldest, envelope.seq))
    reason = draw(st.sampled_from(["evicted", "corrupt"]))
    return Message(envelope, Gap(draw(identifiers), first, envelope.seq, draw(st.integers(0, 2**40)), reason))


@given(messages())
def test_packed_messages_come_back_as_they_were(message: Message) -> None:
    payload = encode_packed(message.envelope, encode_body(message.content))

    assert decode(payload) == message
    assert read_envelope(payload) == message.envelope


@given(messages())
def test_plain_messages_come_back_as_they_were(message: Message) -> None:
    payload = encode_plain(message)

    assert decode(payload) == message
    assert read_envelope(payload) == message.envelope


@settings(max_examples=500)
@given(messages(), st.data())
def test_a_damaged_message_is_a_decode_error_or_another_valid_message(message: Message, data: st.DataObject) -> None:
    payload = bytearray(
        encode_packed(message.envelope, encode_body(message.content))
        if data.draw(st.booleans())
        else encode_plain(message)
    )
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(payload)))

    try:
        decoded = decode(bytes(payload[:cut]))
    except DecodeError:
        return
    assert decode(encode_plain(decoded)) == decoded


@settings(max_examples=500)
@given(st.binary(max_size=300))
@example(b"")
@example(b"{")
@example(b"{}")
@example(b"\x01" + bytes(20))
@example(b"{" * 100_000)
@example(b'{"a":' + b"[" * 100_000)
def test_garbage_is_a_decode_error(payload: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(payload)


@settings(max_examples=500)
@given(st.binary(max_size=300))
def test_garbage_inside_a_good_frame_is_a_decode_error(body: bytes) -> None:
    payload = encode_packed(Envelope(1, 1, 0), zstandard.compress(body))

    with pytest.raises(DecodeError):
        decode(payload)


def packed(body: bytes) -> bytes:
    return encode_packed(Envelope(1, 1, 0), body)


def test_a_decompression_bomb_is_refused_before_it_grows() -> None:
    bomb = packed(zstandard.compress(bytes(900 * 1024 * 1024)))
    assert len(bomb) < codec.MAX_MESSAGE_BYTES
    tracemalloc.start()
    try:
        with pytest.raises(DecodeError, match="must say its size"):
            decode(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1024 * 1024


def test_a_body_that_does_not_say_its_size_is_refused() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    with pytest.raises(DecodeError):
        decode(packed(compressor.compress(b"abc")))


def test_a_body_that_lies_about_its_size_is_refused() -> None:
    frame = bytearray(zstandard.compress(bytes(200)))
    assert zstandard.frame_content_size(bytes(frame)) == 200
    frame[5] = 100

    with pytest.raises(DecodeError):
        decode(packed(bytes(frame)))


def test_an_oversized_message_is_refused() -> None:
    large = packed(bytes(codec.MAX_MESSAGE_BYTES))

    with pytest.raises(DecodeError, match="the limit is"):
        decode(large)
    assert read_envelope(large) == Envelope(1, 1, 0)
    with pytest.raises(DecodeError, match="the limit is"):
        read_envelope(b"{" + bytes(codec.MAX_MESSAGE_BYTES))


def test_a_map_that_promises_billions_of_entries_is_refused() -> None:
    promise = b"\xdf\xff\xff\xff\xff"
    with pytest.raises(DecodeError):
        decode(packed(zstandard.compress(promise)))


def planes(values: list[int], typecode: str) -> bytes:
    """Integers in byte planes, as WIRE.md says: written here anew, so that the codec is not its own judge."""
    width = 8 if typecode == "q" else 4
    integers = [value.to_bytes(width, "little", signed=typecode != "I") for value in values]
    return bytes(integer[k] for k in range(width) for integer in integers)


def good(**changes: object) -> bytes:
    body: dict[str, object] = {
        "kind": "live",
        "gateway": "gw-1",
        "group": "main",
        "period_ms": 60_000,
        "scheduled_at": 1_781_712_000_000,
        "meters": ["m-1", "m-2"],
        "measured_at": planes([1_781_712_000_000] * 2, "q"),
        "quality": planes([0, 0], "I"),
        "columns": [["active_power", 3, planes([1, NULL[4]], "i")]],
    }
    return packed(zstandard.compress(msgspec.msgpack.encode(body | changes)))


def test_the_template_of_the_next_test_is_good() -> None:
    assert decode(good()).content.columns[0].values(2) == [0.001, None]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gateway": "gw/1"}, "not an identifier"),
        ({"gateway": ""}, "not an identifier"),
        ({"group": "a b"}, "not an identifier"),
        ({"meters": ["m-1", "m-1"]}, "names a meter twice"),
        ({"meters": ["m-1", "m#2"]}, "not an identifier"),
        ({"meters": []}, "a round of 0 rows"),
        ({"meters": ["m-1"]}, "one entry a row"),
        ({"measured_at": planes([1_781_712_000_000], "q")}, "one entry a row"),
        ({"measured_at": planes([1, 1], "q")}, "before 2001"),
        ({"scheduled_at": 0}, "before 2001"),
        ({"quality": b"\0" * 7}, "one entry a row"),
        ({"period_ms": 0}, "a period of 0"),
        ({"columns": []}, "0 columns"),
        ({"columns": [["active_powr", 3, bytes(8)]]}, "unknown quantity"),
        ({"columns": [["active_power", 10, bytes(8)]]}, "10 decimals"),
        ({"columns": [["active_power", 3, bytes(9)]]}, "9 bytes for 2 rows"),
        ({"columns": [["active_power", 3, planes([LARGEST + 1, 0], "q")]]}, "beyond"),
        ({"columns": [["active_power", 3, bytes(8)]] * 2}, "two columns"),
        ({"kind": "tariff"}, "kind"),
        ({"kind": "gap", "first": 2, "rows": 1, "reason": "evicted"}, "a gap of 1 rows"),
        ({"kind": "gap", "first": 1, "rows": 1, "reason": "because"}, "gap reason"),
    ],
)
def test_each_broken_rule_is_named(changes: dict[str, object], why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        decode(good(**changes))


def good_events(**changes: object) -> bytes:
    body: dict[str, object] = {
        "kind": "meter_events",
        "gateway": "gw-1",
        "meters": ["m-1", "m-1"],
        "at": planes([1_781_712_000_000, 1_781_712_060_000], "q"),
        "quality": planes([0, 1 << 13], "I"),
        "events": ["power_failed", "power_restored"],
        "missed": {"m-2": 7},
    }
    return packed(zstandard.compress(msgspec.msgpack.encode(body | changes)))


def test_entries_are_read_as_they_were_written() -> None:
    content = decode(good_events()).content

    assert isinstance(content, MeterEvents)
    assert list(unpack(content.at, "q")) == [1_781_712_000_000, 1_781_712_060_000]
    assert list(unpack(content.quality, "I")) == [0, Quality.METER_CLOCK_OFF]
    assert content.events == (MeterEvent.POWER_FAILED, MeterEvent.POWER_RESTORED)
    assert content.missed == {"m-2": 7}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gateway": "gw/1"}, "not an identifier"),
        ({"meters": ["m-1", "m#2"]}, "not an identifier"),
        ({"missed": {"m#2": 1}}, "not an identifier"),
        ({"meters": ["m-1"]}, "one entry a row"),
        ({"events": ["power_failed"]}, "one entry a row"),
        ({"at": planes([1_781_712_000_000], "q")}, "one entry a row"),
        ({"at": planes([1, 1_781_712_000_000], "q")}, "before 2001"),
        ({"quality": b"\0" * 7}, "one entry a row"),
        ({"events": ["power_failed", "lid_licked"]}, "unknown event 'lid_licked': is the gateway newer"),
        ({"missed": {"m-2": -1}}, "m-2 with -1 entries missed"),
        ({"missed": {"m-2": 2**32}}, "m-2 with 4294967296 entries missed"),
        ({"missed": {f"m-{n}": 1 for n in range(MAX_ROWS + 1)}}, "10001 meters that missed"),
        ({"meters": [], "at": b"", "quality": b"", "events": [], "missed": {}}, "not none of both"),
        ({"meters": ["m-1"] * (MAX_ROWS + 1)}, "meter events of 10001 rows"),
    ],
)
def test_each_broken_rule_of_meter_events_is_named(changes: dict[str, object], why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        decode(good_events(**changes))


def test_a_gateway_may_say_only_that_entries_were_overwritten() -> None:
    content = decode(good_events(meters=[], at=b"", quality=b"", events=[])).content

    assert content == MeterEvents.of("gw-1", [], {"m-2": 7})


@pytest.mark.parametrize(("seq", "held"), [(0, 0), (1, 1), (5, 7), (2**63, 0)])
def test_an_envelope_counts_from_one(seq: int, held: int) -> None:
    payload = struct.pack("<BQQI", codec.PACKED, 1, seq, held) + encode_body(Gap("gw-1", 1, 1, 0, "evicted"))
    with pytest.raises(DecodeError, match="numbers start at 1"):
        read_envelope(payload)


def test_unknown_keys_are_ignored_so_that_a_newer_gateway_may_say_more() -> None:
    assert decode(good(firmware="2.1")) == decode(good())
