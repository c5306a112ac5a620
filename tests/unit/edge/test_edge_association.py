"""Our side of an association against the simulated meter's, octet by octet and without a socket."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from edge_agent.drivers.dlms.acse import Mechanism
from edge_agent.drivers.dlms.association import Association, Credentials, State
from edge_agent.drivers.dlms.errors import Breach, Declined, DlmsError, Malformed, Untrusted
from edge_agent.drivers.dlms.initiate import READING, Conformance
from edge_agent.drivers.dlms.keys import Secret
from edge_agent.drivers.dlms.reader import Conversation, Limits, Reader
from edge_agent.drivers.dlms.security import Keys, Protection, SecurityContext
from edge_agent.drivers.dlms.selective import by_entry
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item
from metering.obis import ObisCode
from simulators.dlms.device import EVERYTHING, GENERAL_PROTECTION, LISTS, LogicalDevice
from simulators.dlms.faults import DlmsFault, DlmsFaults, FaultName
from simulators.dlms.session import Session
from tests.support.dlms_park import (
    AK,
    EK,
    GMAC,
    GMAC_SIGNED,
    LOW,
    METER_TITLE,
    NOON_MS,
    PASSWORD,
    PUBLIC,
    READER,
    device,
    import_wh,
)

T = TypeVar("T")
WIDE = Limits()
OURS = b"WTL\0\0\0\0\x01"
IMPORT = Item(Attribute(3, ObisCode(1, 0, 1, 8, 0), 2))
EXPORT = Item(Attribute(3, ObisCode(1, 0, 2, 8, 0), 2))
NOWHERE = Item(Attribute(3, ObisCode(1, 0, 99, 8, 0), 2))
PROFILE = Item(Attribute(7, ObisCode(1, 0, 99, 1, 0), 2))
OBJECTS = Item(Attribute(15, ObisCode(0, 0, 40, 0, 0), 2))


def sealing(
    protection: Protection = Protection.BOTH, keys: tuple[bytes, bytes] = (EK, AK), heard: int = -1
) -> SecurityContext:
    counters = itertools.count(5000)
    return SecurityContext(OURS, Keys(Secret(keys[0]), Secret(keys[1])), protection, counters.__next__, heard)


def opened(association: Association, session: Session) -> Association:
    request: bytes | None = association.open()
    while request is not None:
        answer = session.answer(request, NOON_MS)
        assert answer is not None
        request = association.receive(answer)
    return association


def carried(association: Association, session: Session, conversation: Conversation[T]) -> T:
    try:
        request = next(conversation)
        while True:
            answer = session.answer(association.request(request), NOON_MS)
            assert answer is not None
            request = conversation.send(association.response(answer))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def reader_of(association: Association, limits: Limits = WIDE) -> Reader:
    return Reader(association.granted.conformance, association.largest_request, association.invoke_ids, limits)


def secured(meter: LogicalDevice, **credentials: object) -> tuple[Association, Session]:
    session = Session(meter, GMAC)
    association = Association(Credentials(Mechanism.GMAC, **credentials), sealing())  # type: ignore[arg-type]
    return opened(association, session), session


WAYS: dict[str, Callable[[LogicalDevice], tuple[Association, Session]]] = {
    "none": lambda meter: (opened(Association(Credentials()), s := Session(meter, READER)), s),
    "low": lambda meter: (
        opened(Association(Credentials(Mechanism.LOW, Secret(PASSWORD))), s := Session(meter, LOW)),
        s,
    ),
    "gmac": secured,
    "gmac, own key": lambda meter: secured(meter, dedicated=True),
    "gmac, signed only": lambda meter: (
        opened(
            Association(Credentials(Mechanism.GMAC), sealing(Protection.AUTHENTICATED)),
            s := Session(meter, GMAC_SIGNED),
        ),
        s,
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_associate_reads_one_value_a_list_and_a_long_answer(way: str) -> None:
    association, session = WAYS[way](device())
    reader = reader_of(association)

    assert association.ready
    assert carried(association, session, reader.get(IMPORT)) == import_wh(NOON_MS)
    assert (
        carried(association, session, reader.get_all([IMPORT, NOWHERE, EXPORT] * 15))
        == [
            import_wh(NOON_MS),
            Denied(4),
            0,
        ]
        * 15
    )
    objects = carried(association, session, reader.get(OBJECTS))
    assert isinstance(objects, list)
    assert len(objects) == len(session.device.objects)
    rows = carried(association, session, reader.get(replace_selection(PROFILE, 1, 96)))
    assert isinstance(rows, list)
    assert len(rows) == 96

    association.release()
    released = session.answer(bytes.fromhex("6203800100"), NOON_MS)
    assert released is not None
    assert association.receive(released) is None
    assert association.state is State.ENDED


def replace_selection(item: Item, first: int, last: int) -> Item:
    return Item(item.attribute, by_entry(first, last))


@pytest.mark.parametrize("conformance", [EVERYTHING, EVERYTHING & ~GENERAL_PROTECTION])
def test_general_seals_are_used_where_granted_and_special_ones_elsewhere(conformance: int) -> None:
    association, session = secured(device(conformance=conformance))

    request = association.request(b"\xc0\x01\xc1" + IMPORT.encode())

    assert request[0] == (219 if conformance & GENERAL_PROTECTION else 0xC8)
    answer = session.answer(request, NOON_MS)
    assert answer is not None
    assert association.response(answer)[0] == 0xC4


def test_a_meter_without_lists_is_read_one_by_one() -> None:
    association, session = secured(device(conformance=EVERYTHING & ~LISTS))

    assert carried(association, session, reader_of(association).get_all([IMPORT, EXPORT])) == [import_wh(NOON_MS), 0]


def test_a_meter_that_promises_lists_but_takes_none_is_read_one_by_one_from_then_on() -> None:
    association, session = secured(device(longest_list=1))
    reader = reader_of(association)
    before = session.heard_requests

    assert carried(association, session, reader.get_all([IMPORT, EXPORT])) == [import_wh(NOON_MS), 0]
    assert carried(association, session, reader.get_all([IMPORT, EXPORT])) == [import_wh(NOON_MS), 0]
    assert session.heard_requests - before == 1 + 2 + 2


def test_a_meter_that_refuses_a_list_as_if_it_were_one_attribute_is_read_one_by_one() -> None:
    refused = "c401c001fa"

    assert said(scripted().get_all([IMPORT, EXPORT]), refused, "c401c10006000003e7", "c401c20104") == [999, Denied(4)]


def test_lists_are_cut_to_what_the_meter_takes() -> None:
    association, session = secured(device(largest_pdu=128))
    reader = reader_of(association)
    items = [IMPORT, EXPORT] * 20

    parts = reader.parts(items)
    sealed = [len(association.request(bytes(3) + b"".join(item.encode() for item in part))) for part in parts]

    assert [item for part in parts for item in part] == items
    assert max(sealed) <= 128
    assert len(parts) < 8
    assert carried(association, session, reader.get_all(items)) == [import_wh(NOON_MS), 0] * 20


@pytest.mark.parametrize("pdu", [80, 128, 1024, 0xFFFF])
def test_a_long_profile_comes_in_blocks_of_any_size(pdu: int) -> None:
    association, session = secured(device(largest_pdu=pdu))

    rows = carried(association, session, reader_of(association).get(replace_selection(PROFILE, 1, 200)))

    assert isinstance(rows, list)
    assert len(rows) == 200
    assert all(isinstance(row, list) and len(row) == 5 for row in rows)


def test_the_wrong_password_is_refused_in_words() -> None:
    association = Association(Credentials(Mechanism.LOW, Secret(b"wrong")))

    with pytest.raises(Declined, match="authentication failed"):
        opened(association, Session(device(), LOW))
    assert association.state is State.ENDED


@pytest.mark.parametrize(("client", "why"), [(READER, "not supported"), (99, "not recognised")])
def test_a_client_that_the_meter_does_not_know_is_refused_in_words(client: int, why: str) -> None:
    with pytest.raises(Declined, match=why):
        opened(Association(Credentials(Mechanism.GMAC), sealing()), Session(device(), client))


@pytest.mark.parametrize("keys", [(bytes(16), AK), (EK, bytes(16))])
def test_the_wrong_keys_open_nothing(keys: tuple[bytes, bytes]) -> None:
    with pytest.raises(Declined, match="authentication failed"):
        opened(Association(Credentials(Mechanism.GMAC), sealing(keys=keys)), Session(device(), GMAC))


def test_a_meter_with_other_keys_cannot_pretend() -> None:
    impostor = Session(device(), GMAC)
    association = Association(Credentials(Mechanism.GMAC), sealing())
    answer = impostor.answer(association.open(), NOON_MS)
    assert answer is not None
    proof = association.receive(answer)
    assert proof is not None
    impostor.device.keys = replace(impostor.device.keys, encryption=b"x" * 16)

    with pytest.raises(DlmsError):
        association.receive(impostor.answer(proof, NOON_MS) or b"")
    assert association.state is State.ENDED


def test_only_the_meter_of_that_title_is_talked_to() -> None:
    secured(device(), meter_title=METER_TITLE)
    with pytest.raises(Untrusted, match="wrong_title"):
        secured(device(), meter_title=b"SIM\0\0\0\0\x02")


def test_an_old_consent_is_refused() -> None:
    session = Session(device(), GMAC)

    with pytest.raises(Untrusted, match="replay"):
        opened(Association(Credentials(Mechanism.GMAC), sealing(heard=10_000)), session)


def test_a_meter_that_accepts_without_being_challenged_is_refused() -> None:
    session = Session(device(), GMAC)
    association = Association(Credentials(Mechanism.GMAC), sealing())
    answer = session.answer(association.open(), NOON_MS)
    assert answer is not None
    weaker = bytearray(answer.replace(b"\xaa\x12\x80\x10", b"\xab\x12\x80\x10"))

    with pytest.raises(Declined, match="challenge of 0"):
        association.receive(bytes(weaker))


def test_a_readable_consent_to_a_sealed_association_is_refused() -> None:
    plain = Session(device(), READER).answer(Association(Credentials()).open(), NOON_MS)
    assert plain is not None
    association = Association(Credentials(Mechanism.GMAC), sealing())
    association.open()

    with pytest.raises(Untrusted) as refused:
        association.receive(plain)
    assert refused.value.breach is Breach.DOWNGRADE


@pytest.mark.parametrize(
    ("fault", "breach"),
    [
        ("plaintext", Breach.PLAINTEXT),
        ("downgrade", Breach.DOWNGRADE),
        ("forged_tag", Breach.FORGED),
        ("forged_counter", Breach.FORGED),
        ("replay", Breach.REPLAY),
        ("wrong_title", Breach.WRONG_TITLE),
        ("wrong_invoke_id", Breach.WRONG_INVOKE_ID),
    ],
)
def test_an_attacker_on_the_line_is_refused_by_name(fault: FaultName, breach: Breach) -> None:
    association, session = secured(device())
    reader = reader_of(association)
    assert carried(association, session, reader.get(IMPORT)) == import_wh(NOON_MS)
    session.device.faults = DlmsFaults(active=(DlmsFault(fault),))

    with pytest.raises(Untrusted) as refused:
        carried(association, session, reader.get(IMPORT))
    assert refused.value.breach is breach


def test_a_late_answer_is_not_taken_for_the_next_one_even_without_keys() -> None:
    association, session = WAYS["none"](device())
    session.device.faults = DlmsFaults(active=(DlmsFault("wrong_invoke_id"),))

    with pytest.raises(Untrusted, match="wrong_invoke_id"):
        carried(association, session, reader_of(association).get(IMPORT))


@pytest.mark.parametrize("item", [IMPORT, PROFILE])
def test_an_answer_that_ends_too_early_is_refused(item: Item) -> None:
    association, session = secured(device(faults=DlmsFaults(active=())))
    session.device.faults.active = (DlmsFault("truncated_block"),)

    with pytest.raises(Malformed):
        carried(association, session, reader_of(association).get(item))


@pytest.mark.parametrize("limits", [Limits(blocks=50), Limits(octets=5000)])
def test_an_answer_without_end_is_cut_off(limits: Limits) -> None:
    association, session = secured(device())
    session.device.faults = DlmsFaults(active=(DlmsFault("endless_blocks"),))

    with pytest.raises(Malformed, match="more than"):
        carried(association, session, reader_of(association, limits).get(PROFILE))


def said(conversation: Conversation[T], *answers: str) -> T:
    next(conversation)
    try:
        for answer in answers:
            conversation.send(bytes.fromhex(answer))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    raise AssertionError("more was asked")


def scripted(conformance: Conformance = READING) -> Reader:
    return Reader(conformance, 1000, itertools.cycle(range(16)))


def test_a_first_block_may_be_the_last() -> None:
    assert said(scripted().get(IMPORT), "c402c001000000010005" + "06000003e7") == 999


def test_blocks_are_joined_in_their_order_and_only_in_their_order() -> None:
    first = "c402c000000000010003" + "060000"

    assert said(scripted().get(IMPORT), first, "c402c001000000020002" + "03e7") == 999
    for wrong in ("c402c001000000030002" + "03e7", "c402c001000000010002" + "03e7", "c401c00006000003e7"):
        with pytest.raises(Malformed, match="block 2"):
            said(scripted().get(IMPORT), first, wrong)


def test_every_block_carries_the_number_of_the_question() -> None:
    with pytest.raises(Untrusted, match="wrong_invoke_id"):
        said(scripted().get(IMPORT), "c402c000000000010003060000", "c402c10100000002000203e7")


def test_a_block_may_be_denied() -> None:
    assert said(scripted().get(IMPORT), "c402c00100000001010e") == Denied(14)


def test_a_refused_service_leaves_the_association_usable() -> None:
    reader = scripted()
    conversation = reader.get(IMPORT)
    with pytest.raises(Declined, match="not supported"):
        said(conversation, "d80102")

    assert said(reader.get(IMPORT), "c401c10006000003e7") == 999


def test_questions_are_numbered_in_turn() -> None:
    reader = scripted()

    assert [next(reader.get(IMPORT))[2] & 15 for _ in range(18)] == [*range(16), 0, 1]


def test_a_list_with_too_few_results_is_refused() -> None:
    with pytest.raises(Malformed, match="1 results for 2"):
        said(scripted().get_all([IMPORT, EXPORT]), "c403c00100" + "06000003e7")


def test_a_list_that_came_in_blocks_is_read_like_any_other() -> None:
    results = "020006000003e70104"

    assert said(scripted().get_all([IMPORT, EXPORT]), f"c402c0010000000100{len(results) // 2:02x}{results}") == [
        999,
        Denied(4),
    ]


def test_a_part_of_an_attribute_is_not_asked_of_a_meter_that_gives_none() -> None:
    with pytest.raises(Declined, match="no part"):
        next(scripted(Conformance.GET).get(Item(PROFILE.attribute, by_entry(1))))


def test_nothing_is_asked_before_the_association_stands_or_after_it_ended() -> None:
    association = Association(Credentials())
    for _ in range(2):
        with pytest.raises(Declined, match="in state"):
            association.request(b"\xc0")
        association.fail()


def test_keys_are_needed_where_they_are_used() -> None:
    for credentials in (Credentials(Mechanism.GMAC), Credentials(dedicated=True)):
        with pytest.raises(ValueError, match="need keys"):
            Association(credentials)


def test_everyone_may_read_the_counter_and_nothing_of_the_customer() -> None:
    meter = device(heard=4711)
    session = Session(meter, PUBLIC)
    association = opened(Association(Credentials()), session)
    counter = Item(Attribute(1, ObisCode(0, 0, 43, 1, 0), 2))

    assert carried(association, session, reader_of(association).get_all([counter, IMPORT])) == [4711, Denied(3)]


def test_a_counter_that_went_back_is_said_by_the_meter() -> None:
    with pytest.raises(Declined):
        opened(Association(Credentials(Mechanism.GMAC), sealing()), Session(device(heard=9000), GMAC))
