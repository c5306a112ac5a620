"""Frames come back through any noise; noise alone gives no frame and no other error than the one there is."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlms.errors import Malformed
from edge_agent.drivers.dlms.hdlc import MAX_FRAME, Deframer, Frame, ServerAddress
from edge_agent.drivers.dlms.wrapper import Unwrapper

addresses = st.one_of(
    st.builds(ServerAddress, st.integers(0, 127)),
    st.builds(ServerAddress, st.integers(0, 127), st.integers(0, 127), st.just(2)),
    st.builds(ServerAddress, st.integers(0, 0x3FFF), st.integers(0, 0x3FFF), st.just(4)),
).map(ServerAddress.encode)
frames = st.builds(Frame, addresses, addresses, st.integers(0, 255), st.binary(max_size=200), st.booleans())


@given(st.lists(frames, max_size=5), st.data())
def test_frames_come_back_however_the_stream_is_cut(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in sent)
    deframer, found, at = Deframer(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream)))
        found += deframer.feed(stream[at : at + size])
        at += size

    assert found == sent
    assert deframer.dropped == 0


@given(frames, st.binary(max_size=60))
def test_a_frame_behind_noise_is_found(frame: Frame, noise: bytes) -> None:
    deframer = Deframer()

    found = deframer.feed(noise + frame.encode()) + deframer.give_up()

    assert frame in found


def test_forty_thousand_damaged_streams_are_read_or_dropped_in_bounded_memory() -> None:
    rng = random.Random(7)
    good = Frame(b"\x21", b"\x03", 0x30, bytes(range(40))).encode()
    deframer, whole = Deframer(), 0
    for number in range(40_000):
        noise = bytearray(good)
        for _ in range(number % 4):
            noise[rng.randrange(len(noise))] = rng.choice((0x7E, rng.randrange(256)))
        whole += len(deframer.feed(bytes(noise)))
        assert len(deframer._buffer) <= MAX_FRAME + 2

    assert 9_000 < whole < 20_000
    assert deframer.dropped > 10_000


def test_a_stream_made_of_beginnings_costs_its_length_and_no_more() -> None:
    beginnings = b"\x7e\xa7\xff" * 20_000 + b"\x7e" * 20_000
    deframer = Deframer()

    assert deframer.feed(beginnings) + deframer.give_up() == []
    assert len(deframer._buffer) == 0


def test_damaged_packets_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(8)
    for _ in range(5_000):
        stream = bytearray(bytes.fromhex("0001000100100003c40141"))
        stream[rng.randrange(len(stream))] = rng.randrange(256)
        unwrapper = Unwrapper()
        try:
            found = unwrapper.feed(bytes(stream))
        except Malformed:
            continue
        assert len(found) <= 2
