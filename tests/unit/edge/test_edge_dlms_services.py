from __future__ import annotations

import doctest
import random

import pytest

from edge_agent.drivers.dlms import acse, initiate, xdlms
from edge_agent.drivers.dlms.acse import (
    AssociationRequest,
    Context,
    Mechanism,
    is_release_response,
    parse_association_response,
)
from edge_agent.drivers.dlms.allow_list import REPLY_TO_HLS, AllowList, Method
from edge_agent.drivers.dlms.axdr import Data, Tag
from edge_agent.drivers.dlms.errors import Declined, DlmsError, Malformed
from edge_agent.drivers.dlms.initiate import READING, Conformance, initiate_request, parse_initiate_response
from edge_agent.drivers.dlms.xdlms import (
    Answer,
    Answers,
    Attribute,
    Block,
    Denied,
    Done,
    Item,
    Notification,
    Selection,
    Wanted,
    get_list_request,
    get_next_request,
    get_request,
    parse_notification,
    parse_response,
    parse_results,
)
from metering.obis import ObisCode

IMPORT = Attribute(3, ObisCode(1, 0, 1, 8, 0), 2)
CLOCK = Attribute(8, ObisCode(0, 0, 1, 0, 0), 2)
# The example association of the Green Book: no security, then a password, then the meter's consent.
BOOK_CONFORMANCE = Conformance(0x007E1F)
BOOK_REQUEST = "601da109060760857405080101be10040e01000000065f1f0400007e1f04b0"
BOOK_PASSWORD = (
    "6036a1090607608574050801018a0207808b0760857405080201ac0a80083132333435363738be10040e01000000065f1f0400007e1f04b0"
)
BOOK_RESPONSE = "6129a109060760857405080101a203020100a305a103020100be10040e0800065f1f040000501f01f40007"


@pytest.mark.parametrize("module", [acse, initiate, xdlms])
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0


def test_the_requests_of_the_green_book_are_made_octet_by_octet() -> None:
    proposal = initiate_request(BOOK_CONFORMANCE, 1200)

    plain = AssociationRequest(Context.PLAIN, Mechanism.NONE, proposal)
    low = AssociationRequest(Context.PLAIN, Mechanism.LOW, proposal, authentication_value=b"12345678")

    assert plain.encode().hex() == BOOK_REQUEST
    assert low.encode().hex() == BOOK_PASSWORD


def test_the_answer_of_the_green_book_is_read() -> None:
    answer = parse_association_response(bytes.fromhex(BOOK_RESPONSE))
    granted = parse_initiate_response(answer.user_information, BOOK_CONFORMANCE)

    assert answer.accepted
    assert answer.context == Context.PLAIN
    assert granted == (Conformance(0x00501F), 500)


def test_a_meter_grants_no_more_than_was_proposed() -> None:
    everything = bytes.fromhex("0800065f1f0400ffffff04000007")

    assert parse_initiate_response(everything, READING).conformance == READING


def test_a_challenge_and_a_title_are_found_among_fields_we_do_not_use() -> None:
    fields = (
        "a109060760857405080103a203020100a305a10302010ea40a04084d54520000000001"
        "a503020101880207808907608574050802 05aa0a80084142434445464748be040402dead"
    ).replace(" ", "")
    answer = parse_association_response(bytes.fromhex(f"61{len(fields) // 2:02x}{fields}"))

    assert answer == (0, 14, Context.CIPHERED, Mechanism.GMAC, b"MTR\0\0\0\0\1", b"ABCDEFGH", b"\xde\xad")
    assert answer.reason == "authentication required"


def test_a_password_is_not_shown() -> None:
    request = AssociationRequest(Context.PLAIN, Mechanism.LOW, b"", authentication_value=b"12345678")

    assert "12345678" not in repr(request)
    assert "3132" not in repr(request)


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "cut short"),
        ("60", "begins with 60"),
        ("6105a2030201", "cut short"),
        ("6105a203020100ff", "after the end"),
        ("610aa203020100a203020100", "stands twice"),
        ("6105a203020100", "no diagnostic"),
        ("610ea203020100a305a1030201", "cut short"),
        ("6100", "no result"),
        ("6117a109060760857405080201a203020100a305a103020100", "object identifier"),
        ("6106a20402020000", "no result"),
    ],
)
def test_an_answer_that_is_no_association_response_is_refused(octets: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_association_response(bytes.fromhex(octets))


@pytest.mark.parametrize(
    ("octets", "error"),
    [
        ("0e010001", Declined),
        ("0800055f1f040000501f01f40007", Declined),
        ("0800065f1f040000501f00100007", Declined),
        ("0800065f1f040000501f01f4fa00", Declined),
        ("0800065f1f030000501f01f40007", Malformed),
        ("0800065f1f040000501f01f4000700", Malformed),
        ("0800065f1f040000501f01f400", Malformed),
        ("01", Malformed),
    ],
)
def test_a_meter_that_agrees_to_something_else_is_refused(octets: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_initiate_response(bytes.fromhex(octets), READING)


def test_the_release_answer_is_known() -> None:
    assert is_release_response(bytes.fromhex("6303800100"))
    assert not is_release_response(b"")


def test_requests_to_read_are_made_as_the_standard_says() -> None:
    selection = Selection(2, Data(Tag.STRUCTURE, (Data(Tag.UINT32, 1), Data(Tag.UINT32, 9))))

    assert get_request(1, Item(IMPORT)).hex() == "c001c1" + "00030100010800ff02" + "00"
    assert get_request(2, Item(IMPORT, selection)).hex() == (
        "c001c2" + "00030100010800ff02" + "01" + "02" + "020206000000010600000009"
    )
    assert get_next_request(3, 7).hex() == "c002c300000007"
    assert get_list_request(4, [Item(IMPORT), Item(CLOCK)]).hex() == (
        "c003c402" + "00030100010800ff0200" + "00080000010000ff0200"
    )


@pytest.mark.parametrize(
    ("octets", "response"),
    [
        ("c401c10006000003e7", Answer(1, 999)),
        ("c401c20104", Answer(2, Denied(4))),
        ("c402c1000000000100 020600", Block(1, last=False, number=1, content=b"\x06\x00")),
        ("c402c1010000000900 00", Block(1, last=True, number=9, content=b"")),
        ("c402c1010000000901 0e", Block(1, last=True, number=9, content=Denied(14))),
        ("c403c5 02 0006000003e7 010b", Answers(5, [999, Denied(11)])),
        ("c501c100", Done(1, 0)),
        ("c502c100000003", Wanted(1, 3)),
        ("c503c10000000004", Done(1, 0)),
        ("c701c10000", Done(1, 0)),
        ("c701c100010009020102", Done(1, 0, b"\x01\x02")),
        ("c701c10c0101 03", Done(1, 12, Denied(3))),
    ],
)
def test_answers_are_read(octets: str, response: object) -> None:
    assert parse_response(bytes.fromhex(octets.replace(" ", ""))) == response


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        ("d80102", "service not allowed, service not supported"),
        ("d802060000002a", "service unknown, invocation counter error"),
        ("0e010602", "service error 1/6/2"),
    ],
)
def test_a_refused_service_says_so(octets: str, text: str) -> None:
    with pytest.raises(Declined, match=text):
        parse_response(bytes.fromhex(octets))


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "c4",
        "c401",
        "c401c1",
        "c401c100",
        "c401c1000600",
        "c401c10006000003e700",
        "c401c10206000003e7",
        "c402c100000000010202",
        "c402c10000000001000506",
        "c403c1ff00",
        "c403c184ffffffff00",
        "c403c102000f",
        "c404c100",
        "c703c100",
        "d8",
        "c001c1",
    ],
)
def test_an_answer_that_is_none_is_refused(octets: str) -> None:
    with pytest.raises(Malformed):
        parse_response(bytes.fromhex(octets))


def test_a_value_cut_short_inside_a_list_is_refused_and_never_read_as_zero() -> None:
    whole = bytes.fromhex("c403c1020006000003e70006000003e8")

    assert parse_response(whole) == Answers(1, [999, 1000])
    for end in range(3, len(whole)):
        with pytest.raises(Malformed):
            parse_response(whole[:end])


def test_results_that_came_in_blocks_are_a_list_with_nothing_behind_it() -> None:
    assert parse_results(bytes.fromhex("020006000003e70103")) == [999, Denied(3)]
    with pytest.raises(Malformed):
        parse_results(bytes.fromhex("020006000003e7010300"))


def test_reasons_are_words_and_unknown_ones_keep_their_number() -> None:
    assert [str(Denied(code)) for code in (4, 77)] == ["object undefined", "reason 77"]


def test_a_notification_is_read() -> None:
    octets = bytes.fromhex("0f40000007" + "0c07ea0302010c000000fe2000" + "020206000003e71100")

    assert parse_notification(octets) == Notification(7, octets[6:18], [999, 0])
    assert parse_notification(bytes.fromhex("0f000000010011ff")).value == 255
    for wrong in (octets[:-1], b"\xc4" + octets[1:], octets + b"\0"):
        with pytest.raises(Malformed):
            parse_notification(wrong)


def test_ten_thousand_damaged_messages_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(11)
    good = [
        bytes.fromhex(o)
        for o in (BOOK_RESPONSE, "c403c1020006000003e70103", "c402c100000000010002060 0".replace(" ", ""))
    ]
    for number in range(10_000):
        noise = bytearray(good[number % 3])
        for _ in range(rng.randint(1, 3)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        try:
            if number % 3:
                parse_response(bytes(noise))
            else:
                answer = parse_association_response(bytes(noise))
                parse_initiate_response(answer.user_information, READING)
        except DlmsError:
            continue


def test_only_what_is_on_the_allow_list_can_be_made() -> None:
    reading = AllowList()
    reply = reading.action_request(5, REPLY_TO_HLS, Data(Tag.OCTET_STRING, b"\x10\x00"))

    assert reply.hex() == "c301c5" + "000f0000280000ff01" + "01" + "09021000"
    with pytest.raises(Declined, match=r"0-0:96\.3\.10 method 1"):
        reading.action_request(1, Method(70, ObisCode(0, 0, 96, 3, 10), 1), Data(Tag.INT8, 0))
    with pytest.raises(Declined, match=r"0-0:1\.0\.0 attribute 2"):
        reading.set_request(1, CLOCK, Data(Tag.OCTET_STRING, bytes(12)))
    with pytest.raises(Declined, match=r"0-0:1\.0\.0 attribute 2"):
        reading.set_blocks(1, CLOCK, Data(Tag.OCTET_STRING, bytes(12)), 128)


def test_what_is_allowed_is_set_in_one_message_or_in_blocks() -> None:
    allowed = AllowList(attributes=[CLOCK])
    value = Data(Tag.OCTET_STRING, bytes(range(100)))

    whole = allowed.set_request(1, CLOCK, value)
    parts = allowed.set_blocks(1, CLOCK, value, 64)

    assert whole.hex().startswith("c101c1" + "00080000010000ff02" + "00" + "0964")
    assert max(len(part) for part in parts) <= 64
    assert [part[:3].hex() for part in parts] == ["c102c1", "c103c1", "c103c1"]
    assert parts[0][12:18].hex() == "00" + "0000000001"
    assert parts[2][3:8].hex() == "0100000003"
    assert parts[0][19:] + parts[1][9:] + parts[2][9:] == whole[13:]
    with pytest.raises(ValueError, match="no block fits"):
        allowed.set_blocks(1, CLOCK, value, 23)
