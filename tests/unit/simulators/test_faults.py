import struct
from dataclasses import dataclass

import pytest

from simulators.faults import Delivery, Fault, Wire
from simulators.framing import BadStreamError, Frame, MbapFrame, RtuFrame, crc
from simulators.lies import Lie, LyingMeter
from simulators.physics import Flow, Reading

PDU = bytes((4, 8)) + bytes(range(8))
ANSWER = MbapFrame(0x1234, 5, PDU)
LINE_ANSWER = RtuFrame(5, PDU)
FRAMINGS = pytest.mark.parametrize("answer", [ANSWER, LINE_ANSWER], ids=["mbap", "rtu"])
THREE = (1.0, 2.0, 3.0)


def test_a_frame_stands_on_the_wire_as_the_standards_say() -> None:
    assert ANSWER.octets == struct.pack(">HHHB", 0x1234, 0, 11, 5) + PDU
    assert LINE_ANSWER.octets == b"\x05" + PDU + crc(b"\x05" + PDU)
    # The example of MODBUS over serial line V1.02, 6.2.2: 02 07 -> CRC 1241 hex, low octet (41) first.
    assert crc(b"\x02\x07") == b"\x41\x12"


def test_frames_are_cut_off_a_stream_one_by_one_and_nonsense_is_refused() -> None:
    stream = bytearray(ANSWER.octets + ANSWER.octets[:9])

    assert MbapFrame.take(stream) == ANSWER
    assert MbapFrame.take(stream) is None
    with pytest.raises(BadStreamError):
        MbapFrame.take(bytearray(b"GET / HTTP/1.1"))


def test_a_line_frame_is_read_back_and_not_with_a_wrong_crc() -> None:
    octets = bytearray(LINE_ANSWER.octets)

    assert RtuFrame.parse(bytes(octets)) == LINE_ANSWER
    octets[3] ^= 1
    assert RtuFrame.parse(bytes(octets)) is None


@FRAMINGS
def test_a_wire_without_faults_delivers_what_it_gets(answer: Frame) -> None:
    assert Wire(1).deliver(answer, 0) == Delivery(answer.octets)


@FRAMINGS
def test_a_fault_concerns_its_units_between_its_instants(answer: Frame) -> None:
    wire = Wire(1, [Fault("silent", frozenset({5}), starts_at_ms=100, ends_at_ms=200)])

    assert [wire.deliver(answer, at).data == b"" for at in (99, 100, 199, 200)] == [False, True, True, False]
    wire.faults = (Fault("silent", frozenset({6})),)
    assert wire.deliver(answer, 150).data == answer.octets


def test_a_share_of_answers_suffers_and_the_seed_decides_which() -> None:
    def lost(seed: int) -> list[bool]:
        wire = Wire(seed, [Fault("drop", share=0.3)])
        return [not wire.deliver(ANSWER, 0).data for _ in range(1000)]

    assert lost(1) == lost(1) != lost(2)
    assert 240 < sum(lost(1)) < 360


@FRAMINGS
def test_what_each_fault_delivers(answer: Frame) -> None:
    def deliver(fault: Fault) -> Delivery:
        return Wire(1, [fault]).deliver(answer, 0)

    assert deliver(Fault("delay", delay_s=0.5)) == Delivery(answer.octets, 0.5)
    assert deliver(Fault("late")) == Delivery(answer.octets, 1.2)
    assert deliver(Fault("late", delay_s=0.3)) == Delivery(answer.octets, 0.3)
    assert deliver(Fault("dead")) == Delivery()
    assert deliver(Fault("exception", code=6)).data == answer.with_pdu(b"\x84\x06").octets
    assert deliver(Fault("short")).data == answer.with_pdu(bytes((4, 4, 0, 1, 2, 3))).octets
    assert deliver(Fault("wrong_unit")).data == answer.from_unit(6).octets
    assert deliver(Fault("wrong_transaction")).data == answer.astray().octets != answer.octets
    assert deliver(Fault("close")) == Delivery(close=True)
    assert deliver(Fault("refuse")) == Delivery(close=True)
    assert deliver(Fault("echo")) == Delivery(answer.octets)
    garbage = deliver(Fault("garbage")).data
    assert len(garbage) == len(answer.octets)
    assert garbage != answer.octets


def test_noise_breaks_the_crc_of_a_line_and_never_reaches_tcp() -> None:
    wire = Wire(1, [Fault("noise")])

    heard = [wire.deliver(LINE_ANSWER, 0).data for _ in range(200)]

    assert all(len(octets) == len(LINE_ANSWER.octets) and RtuFrame.parse(octets) is None for octets in heard)
    assert wire.deliver(ANSWER, 0).data == b""


def test_an_adapter_hears_itself_only_under_the_fault() -> None:
    wire = Wire(1, [Fault("echo", frozenset({5}), ends_at_ms=10)])

    assert [wire.echoes(5, 0), wire.echoes(6, 0), wire.echoes(5, 10)] == [True, False, False]


@FRAMINGS
def test_a_delay_adds_to_another_fault(answer: Frame) -> None:
    wire = Wire(1, [Fault("delay", delay_s=0.2), Fault("delay", delay_s=0.3), Fault("exception")])

    assert wire.deliver(answer, 0) == Delivery(answer.with_pdu(b"\x84\x04").octets, 0.5)


@FRAMINGS
def test_a_refusal_stays_a_refusal_when_answers_are_cut_short(answer: Frame) -> None:
    refused = answer.with_pdu(b"\x84\x02")

    assert Wire(1, [Fault("short")]).deliver(refused, 0).data == refused.octets


def test_only_refuse_turns_connections_away() -> None:
    wire = Wire(1, [Fault("refuse", starts_at_ms=10, ends_at_ms=20), Fault("close")])

    assert [wire.refuses(at) for at in (9, 10, 20)] == [False, True, False]


@dataclass(frozen=True)
class Counting:
    """A meter whose registers are the instant."""

    def reading(self, at_ms: int) -> Reading:
        return Reading(Flow(THREE, THREE, THREE, THREE, 50.0), (float(at_ms), 1.0, 1.0), THREE)


def test_a_lying_meter_lies_for_a_share_of_its_readings_and_the_same_way_each_time() -> None:
    meter = LyingMeter(Counting(), 3, [Lie("transient_zero", share=0.1, starts_at_ms=100, ends_at_ms=1100)])

    said = [meter.reading(at) for at in range(1200)]

    assert said == [meter.reading(at) for at in range(1200)]
    wrong = [at for at, reading in enumerate(said) if reading.import_kwh != (float(at), 1.0, 1.0)]
    assert 60 < len(wrong) < 140
    assert 100 <= wrong[0] <= wrong[-1] < 1100
    assert {said[at].import_kwh for at in wrong} == {(0.0, 0.0, 0.0)}
    assert all(reading.flow == said[0].flow for reading in said)


def test_a_spike_jumps_and_a_stuck_meter_stands_still() -> None:
    spike = LyingMeter(Counting(), 3, [Lie("spike")])
    stuck = LyingMeter(Counting(), 3, [Lie("stuck", starts_at_ms=40)])

    assert spike.reading(7).import_kwh == (65543.0, 65537.0, 65537.0)
    assert [stuck.reading(at).import_kwh[0] for at in (39, 40, 99)] == [39.0, 40.0, 40.0]
