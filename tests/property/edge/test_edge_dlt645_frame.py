"""Frames of DL/T 645-2007: round trips, what a line may add to them, and octets that are none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlt645.frame import (
    ANY_METER,
    BROADCAST,
    READS,
    ErrorWord,
    Frame,
    FrameError,
    address_question,
    decode,
    identifier_in,
    next_frame,
    read_question,
)

ADDRESSES = st.text("0123456789", min_size=12, max_size=12)
DATA = st.binary(max_size=200)
ANSWERS = st.builds(Frame, ADDRESSES, st.integers(0x80, 0xFF), DATA)
FRAMES = st.one_of(ANSWERS, st.builds(Frame, ADDRESSES, st.sampled_from(sorted(READS)), DATA))


@given(FRAMES)
def test_a_frame_comes_back_as_it_went(frame: Frame):
    assert decode(frame.octets) == frame


@given(frames=st.lists(FRAMES, max_size=4), gaps=st.lists(st.binary(max_size=9).map(lambda b: b.replace(b"h", b""))))
def test_frames_are_found_behind_preambles_and_noise(frames: list[Frame], gaps: list[bytes]):
    line = bytearray()
    for i, frame in enumerate(frames):
        line += (gaps[i] if i < len(gaps) else b"") + b"\xfe" * (i % 5) + frame.octets

    found = []
    while (frame := next_frame(line)) is not None:
        found.append(frame)

    assert found == frames
    assert not line


@given(frame=FRAMES, whole=st.data())
def test_a_frame_that_is_not_all_there_is_waited_for(frame: Frame, whole: st.DataObject):
    octets = frame.octets
    cut = whole.draw(st.integers(0, len(octets) - 1))
    line = bytearray(octets[:cut])

    early = next_frame(line)
    line += octets[cut:]

    assert early is None
    assert next_frame(line) == frame


@given(frame=ANSWERS, at=st.integers(0, 11), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_another_answer(frame: Frame, at: int, bit: int):
    octets = bytearray(frame.octets)
    octets[at % len(octets)] ^= 1 << bit

    with pytest.raises(FrameError):
        decode(bytes(octets))


@given(st.binary(max_size=300))
def test_anything_at_all_is_a_frame_or_one_kind_of_error(octets: bytes):
    try:
        frame = decode(octets)
    except FrameError:
        frame = None
    line = bytearray(octets)
    while next_frame(line) is not None:
        pass

    assert len(line) <= len(octets)
    assert frame is None or len(frame.data) == len(octets) - 12


def test_the_frames_of_a_public_recording_are_read_as_they_were_meant():
    question = bytes.fromhex("FEFEFEFE68610100000000681104333434351716")
    answer = bytes.fromhex("6861010000000068910633343435344310 16".replace(" ", ""))

    assert read_question("000000000161", "02010100").octets == question[4:]
    assert next_frame(bytearray(question)) == read_question("000000000161", "02010100")
    assert decode(answer) == Frame("000000000161", 0x91, bytes.fromhex("000101020110"))
    assert identifier_in(decode(answer).data) == "02010100"


def test_a_refusal_and_a_first_part_are_told_by_their_control():
    refusal = Frame("000000000161", 0xD1, bytes((2,)))
    part = Frame("000000000161", 0xB1, b"abcd")

    assert (refusal.from_meter, refusal.refused, refusal.function) == (True, True, 0x11)
    assert (part.from_meter, part.refused, part.more, part.function) == (True, False, True, 0x11)
    assert ErrorWord(refusal.data[0]) is ErrorWord.NO_DATA


def test_the_only_meter_of_a_line_is_asked_by_wildcards():
    assert address_question().octets.hex() == "68aaaaaaaaaaaa681300df16"
    assert address_question().address == ANY_METER


@pytest.mark.parametrize("control", sorted(set(range(0x80)) - READS))
def test_nothing_that_writes_has_octets(control: int):
    with pytest.raises(FrameError, match="no read"):
        Frame(BROADCAST, control, bytes(6)).octets  # noqa: B018 - the property raises


@pytest.mark.parametrize("address", ["", "1234", "00000000016G", "0000000001611"])
def test_an_address_has_twelve_digits(address: str):
    with pytest.raises(FrameError, match="12 digits"):
        read_question(address, "02010100").octets  # noqa: B018 - the property raises


def test_too_much_data_has_no_octets():
    with pytest.raises(FrameError, match="201 octets"):
        Frame("000000000161", 0x91, bytes(201)).octets  # noqa: B018 - the property raises
