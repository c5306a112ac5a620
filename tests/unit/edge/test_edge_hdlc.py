from __future__ import annotations

import doctest

import pytest

from edge_agent.drivers.dlms import hdlc, mode_e, wrapper
from edge_agent.drivers.dlms.errors import Declined, Malformed
from edge_agent.drivers.dlms.hdlc import Control, Deframer, Frame, ServerAddress, client_address, numbered
from edge_agent.drivers.dlms.hdlc_session import HdlcSession, State
from edge_agent.drivers.dlms.wrapper import Packet, Unwrapper, WrapperSession

CLIENT, METER = client_address(16), ServerAddress(1).encode()
# An answer of a real meter to SNRM: 128 octets both ways, window 1.
UA = bytes.fromhex("7ea01e210373c37a81801205018006018007040000000108040000000153 3b7e".replace(" ", ""))


def from_meter(control: int, information: bytes = b"", *, segmented: bool = False) -> Frame:
    return Frame(CLIENT, METER, control, information, segmented)


def only(octets: bytes) -> Frame:
    (frame,) = Deframer().feed(octets)
    return frame


def opened(information: int = 128) -> HdlcSession:
    session = HdlcSession(CLIENT, METER, information)
    session.open()
    session.receive(only(UA))
    return session


@pytest.mark.parametrize("module", [hdlc, mode_e, wrapper])
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_a_frame_of_a_real_meter_is_read() -> None:
    frame = only(UA)

    assert (frame.destination, frame.source, frame.control) == (CLIENT, METER, Control.UA)
    assert len(frame.information) == 21
    assert frame.encode() == UA


def test_a_damaged_frame_costs_itself_and_not_its_successor() -> None:
    for at in range(1, len(UA) - 1):
        damaged = bytearray(UA)
        damaged[at] ^= 0x55
        deframer = Deframer()

        frames = deframer.feed(bytes(damaged)) + deframer.feed(UA) + deframer.give_up()

        assert frames == [only(UA)], at
        assert deframer.dropped


def test_a_flag_inside_the_information_is_data() -> None:
    frame = Frame(CLIENT, METER, numbered(0, 0), b"\x7e\x7e\x7e\xa0\x07\x7e")

    assert only(frame.encode()) == frame


def test_frames_may_come_octet_by_octet_with_noise_and_shared_flags() -> None:
    deframer = Deframer()
    stream = b"\x00\xff\x7e\x7e" + UA + UA[1:] + b"noise" + UA

    frames = [frame for octet in stream for frame in deframer.feed(bytes((octet,)))]

    assert frames == [only(UA)] * 3


def test_the_offered_limits_bind_both_sides() -> None:
    session = HdlcSession(CLIENT, METER, 512)
    offer = only(session.open())

    assert offer.control == Control.SNRM
    assert offer.information.hex() == "818014050202000602020007040000000108040000 0001".replace(" ", "")
    session.receive(only(UA))
    assert session.state is State.OPEN
    assert session.information == 128


def test_a_meter_without_limits_gets_the_default() -> None:
    session = HdlcSession(CLIENT, METER, 512)
    session.open()

    session.receive(from_meter(Control.UA))

    assert session.information == 128


@pytest.mark.parametrize("information", ["81", "8180", "8181", "818003050180ff", "818003050100", "00"])
def test_limits_that_make_no_sense_are_refused(information: str) -> None:
    session = HdlcSession(CLIENT, METER)
    session.open()

    with pytest.raises(Malformed):
        session.receive(from_meter(Control.UA, bytes.fromhex(information)))


def test_a_long_request_goes_in_segments_each_waiting_for_the_meter() -> None:
    session = opened()
    message = bytes(range(256)) + bytes(100)

    sent = [only(session.send(message))]
    while sent[-1].segmented:
        heard = session.receive(from_meter(Control.RR | len(sent) << 5))
        sent.append(only(heard.reply))

    assert b"".join(frame.information for frame in sent) == b"\xe6\xe6\x00" + message
    assert [frame.control for frame in sent] == [numbered(n, 0) for n in range(3)]
    assert max(len(frame.information) for frame in sent) == 128


def test_a_long_answer_comes_in_segments_each_acknowledged() -> None:
    session = opened()
    session.send(b"\xc0")
    parts = [b"\xe6\xe7\x00" + bytes(100), bytes(range(128)), b"end"]

    replies = []
    for n, part in enumerate(parts[:-1]):
        heard = session.receive(from_meter(numbered(n, 1), part, segmented=True))
        replies.append(only(heard.reply).control)
        assert heard.message is None
    last = session.receive(from_meter(numbered(2, 1), parts[-1]))

    assert replies == [Control.RR | 1 << 5, Control.RR | 2 << 5]
    assert last.message == b"".join(parts)[3:]


def test_a_lost_answer_is_polled_and_comes_again() -> None:
    session = opened()
    session.send(b"\xc0")

    assert only(session.poll()).control == Control.RR
    assert session.receive(from_meter(numbered(0, 1), b"\xe6\xe7\x00\xc4")).message == b"\xc4"
    again = session.receive(from_meter(numbered(0, 1), b"\xe6\xe7\x00\xc4"))

    assert again.message is None, "the same frame is not two answers"
    assert only(again.reply).control == Control.RR | 1 << 5


def test_a_lost_request_is_sent_again_when_the_meter_says_that_it_lacks_it() -> None:
    session = opened()
    sent = session.send(b"\xc0")

    assert session.receive(from_meter(Control.RR)).reply == sent


def test_numbers_run_round_modulo_eight() -> None:
    session = opened()
    for n in range(20):
        session.send(b"\xc0")
        assert session.receive(from_meter(numbered(n % 8, (n + 1) % 8), b"\xe6\xe7\x00\xc4")).message == b"\xc4"


def test_other_meters_and_our_own_echo_are_passed_over() -> None:
    session = opened()
    echo = only(session.send(b"\xc0"))

    assert session.receive(echo) == (b"", None)
    assert session.receive(Frame(CLIENT, b"\x05", numbered(0, 1), b"\xe6\xe7\x00\xc4")) == (b"", None)
    assert session.receive(Frame(b"\x03", METER, numbered(0, 1), b"\xe6\xe7\x00\xc4")) == (b"", None)


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        (from_meter(Control.DM), Declined),
        (from_meter(0x0F), Declined),
        (from_meter(Control.FRMR), Malformed),
        (from_meter(Control.RR | 5 << 5), Malformed),
        (from_meter(numbered(0, 3), b"\xe6\xe7\x00\xc4"), Malformed),
        (from_meter(numbered(0, 1), b"\xc4"), Malformed),
    ],
)
def test_a_meter_that_breaks_the_rules_loses_the_connection(frame: Frame, error: type[Exception]) -> None:
    session = opened()
    session.send(b"\xc0")

    with pytest.raises(error):
        session.receive(frame)


def test_a_message_without_end_is_cut_off() -> None:
    session = opened()
    session.send(b"\xc0")
    for n in range(511):
        session.receive(from_meter(numbered(n % 8, 1), bytes(128), segmented=True))
    one_more = from_meter(numbered(7, 1), bytes(128), segmented=True)

    with pytest.raises(Malformed, match="65535"):
        session.receive(one_more)


def test_closing_waits_for_the_meter() -> None:
    session = opened()

    assert only(session.close()).control == Control.DISC
    session.receive(from_meter(Control.UA))
    assert session.state is State.CLOSED
    assert session.close() == b""
    with pytest.raises(Declined):
        session.send(b"\xc0")


@pytest.mark.parametrize(("logical", "physical", "octets"), [(1, None, 2), (1, 17, 1), (128, None, 1), (1, 200, 2)])
def test_an_address_that_does_not_fit_is_refused(logical: int, physical: int | None, octets: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        ServerAddress(logical, physical, octets).encode()


def test_packets_come_whole_however_the_stream_is_cut() -> None:
    packets = [Packet(1, 16, b"\xc4" * n) for n in (1, 0, 300)]
    stream = b"".join(packet.encode() for packet in packets)
    unwrapper = Unwrapper()

    assert [packet for octet in stream for packet in unwrapper.feed(bytes((octet,)))] == packets


def test_a_stream_that_is_no_wrapper_is_refused() -> None:
    with pytest.raises(Malformed, match="version 768"):
        Unwrapper().feed(b"\x03\x00" + bytes(20))


def test_a_wrapper_session_hears_its_own_meter_only() -> None:
    session = WrapperSession(client=16, server=1)

    assert session.send(b"\xc0").hex() == "0001001000010001c0"
    assert session.receive(Packet(1, 16, b"\xc4")).message == b"\xc4"
    assert session.receive(Packet(2, 16, b"\xc4")).message is None
    assert session.receive(Packet(1, 17, b"\xc4")).message is None


def test_the_opening_of_an_optical_head_agrees_on_the_speed() -> None:
    heard = mode_e.request() + b"/ISk5\\2ME172-0123\r\n"

    assert mode_e.answer(heard[:-1]) is None
    assert mode_e.answer(heard) == (b"\x06252\r\n", 9600, "ISk5\\2ME172-0123")
    assert mode_e.answer(heard, fastest_baud=2400) == (b"\x06232\r\n", 2400, "ISk5\\2ME172-0123")


@pytest.mark.parametrize("noise", [b"\0", b"\x7f\x7f", b"/", b"\r", mode_e.request() + b"\0"])
def test_a_meter_is_heard_behind_the_noise_of_an_optical_head(noise: bytes) -> None:
    found = mode_e.answer(noise + b"/ISk5\\2ME172-0123\r\n")

    assert found is not None
    assert found.identification == "ISk5\\2ME172-0123"


@pytest.mark.parametrize(
    ("heard", "error"),
    [
        (b"/ISk5ME172\r\n", Declined),
        (b"/ISkX\\2ME\r\n", Malformed),
        (b"/IS\r\n", Malformed),
        (b"x" * 200, Malformed),
    ],
)
def test_an_identification_without_mode_e_is_refused(heard: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        mode_e.answer(heard)
