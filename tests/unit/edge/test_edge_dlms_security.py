"""The Green Book's own examples of suite 0, and an attacker between the meter and us."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from edge_agent.drivers.dlms.errors import Breach, Declined, Malformed, Untrusted
from edge_agent.drivers.dlms.keys import Secret
from edge_agent.drivers.dlms.security import Keys, Protection, SecurityContext, check_challenge

EK, AK = bytes(range(16)), bytes(range(0xD0, 0xE0))
KEYS = Keys(Secret(EK), Secret(AK))
BOOK_TITLE = bytes.fromhex("4d4d4d0000bc614e")
BOOK_CLIENT = bytes.fromhex("4d4d4d0000000001")
BOOK_COUNTER = 0x01234567
BOOK_GET = bytes.fromhex("c0010000080000010000ff0200")
BOOK_SEALED = {
    Protection.AUTHENTICATED: "c81e1001234567c0010000080000010000ff020006725d910f9221d263877516",
    Protection.ENCRYPTED: "c8122001234567411312ff935a47566827c467bc",
    Protection.BOTH: "c81e3001234567411312ff935a47566827c467bc7d825c3be4a77c3fcc056b6b",
}
ANSWER = bytes.fromhex("c401c10006000003e7")
ALL = tuple(Protection)


def context(
    title: bytes, protection: Protection = Protection.BOTH, start: int = 1, peer: bytes = b""
) -> SecurityContext:
    counters: Iterator[int] = itertools.count(start)
    made = SecurityContext(title, KEYS, protection, counters.__next__)
    if peer:
        made.meet(peer)
    return made


def pair(protection: Protection = Protection.BOTH) -> tuple[SecurityContext, SecurityContext]:
    """Us and the meter: the protection is the same both ways."""
    return (
        context(BOOK_CLIENT, protection, peer=BOOK_TITLE),
        context(BOOK_TITLE, protection, BOOK_COUNTER, BOOK_CLIENT),
    )


@pytest.mark.parametrize("protection", ALL)
def test_the_book_s_request_is_sealed_as_in_the_book(protection: Protection) -> None:
    sender = context(BOOK_TITLE, protection, BOOK_COUNTER)

    assert sender.protect(BOOK_GET).hex() == BOOK_SEALED[protection]


def test_the_book_s_challenges_are_answered_as_in_the_book() -> None:
    us = context(BOOK_CLIENT, start=1, peer=BOOK_TITLE)

    assert us.challenge_reply(b"P6wRJ21F").hex() == "10000000011a52fe7dd3e72748973c1e28"
    us.check_reply(bytes.fromhex("1001234567fe1466afb3dbcd4f9389e2b7"), b"K56iVagY")
    assert us.heard == BOOK_COUNTER


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("protection", ALL)
def test_what_one_side_seals_the_other_opens(protection: Protection, general: bool) -> None:
    us, meter = pair(protection)
    meter.general = general

    assert us.unprotect(meter.protect(ANSWER)) == ANSWER
    assert us.unprotect(meter.protect(ANSWER)) == ANSWER
    assert us.heard == BOOK_COUNTER + 1


def test_long_messages_carry_a_long_length() -> None:
    us, meter = pair()
    meter.general = True
    long = b"\xc4" + bytes(5000)

    sealed = meter.protect(long)

    assert sealed[10:13].hex() == "82139a"
    assert us.unprotect(sealed) == long
    assert len(sealed) - len(long) <= us.overhead


def test_every_seal_and_every_proof_uses_a_number_of_its_own() -> None:
    us = context(BOOK_CLIENT, start=7, peer=BOOK_TITLE)

    proof = us.challenge_reply(b"x" * 16)
    carrying = us.protect(b"\xc3\x01")
    following = us.protect(b"\xc0\x01")

    assert [int.from_bytes(o, "big") for o in (proof[1:5], carrying[3:7], following[3:7])] == [7, 8, 9]


@pytest.mark.parametrize("protection", [Protection.AUTHENTICATED, Protection.BOTH])
def test_a_changed_octet_is_noticed_and_moves_nothing(protection: Protection) -> None:
    us, meter = pair(protection)
    sealed = meter.protect(ANSWER)
    for at in range(7, len(sealed)):
        forged = bytearray(sealed)
        forged[at] ^= 1
        with pytest.raises(Untrusted) as refused:
            us.unprotect(bytes(forged))
        assert refused.value.breach is Breach.FORGED

    assert us.heard == -1
    assert us.unprotect(sealed) == ANSWER


def test_a_forged_counter_does_not_shut_the_meter_out() -> None:
    us, meter = pair()
    forged = bytearray(meter.protect(ANSWER))
    forged[3:7] = b"\xff" * 4

    with pytest.raises(Untrusted, match="forged"):
        us.unprotect(bytes(forged))
    assert us.unprotect(meter.protect(ANSWER)) == ANSWER


def test_an_old_answer_stays_old() -> None:
    us, meter = pair()
    first, second = meter.protect(ANSWER), meter.protect(ANSWER)
    us.unprotect(second)

    for replayed in (first, second):
        with pytest.raises(Untrusted, match="replay"):
            us.unprotect(replayed)
    assert us.heard == BOOK_COUNTER + 1


def test_an_answer_without_a_seal_is_refused() -> None:
    us, _ = pair()

    for plain in (ANSWER, bytes.fromhex("c7010000"), bytes.fromhex("0f00000001000600000001")):
        with pytest.raises(Untrusted, match="plaintext"):
            us.unprotect(plain)
    assert us.unprotect(bytes.fromhex("d80206")) == bytes.fromhex("d80206"), "a refusal may be readable"


@pytest.mark.parametrize("weaker", [Protection.AUTHENTICATED, Protection.ENCRYPTED])
def test_another_protection_than_agreed_is_a_downgrade(weaker: Protection) -> None:
    us, _ = pair()
    _, meter = pair(weaker)

    with pytest.raises(Untrusted, match="downgrade"):
        us.unprotect(meter.protect(ANSWER))


def test_another_suite_is_refused_by_name() -> None:
    us, meter = pair()
    sealed = bytearray(meter.protect(ANSWER))
    sealed[2] |= 1

    with pytest.raises(Untrusted, match="suite 1"):
        us.unprotect(bytes(sealed))


def test_another_meter_is_noticed_whether_it_says_its_title_or_not() -> None:
    us, _ = pair()
    other = context(bytes.fromhex("4d4d4d0000bc614f"), start=BOOK_COUNTER)

    with pytest.raises(Untrusted, match="forged"):
        us.unprotect(other.protect(ANSWER))
    other.general = True
    with pytest.raises(Untrusted, match="wrong_title"):
        us.unprotect(other.protect(ANSWER))


@pytest.mark.parametrize("title", [b"", bytes(7), BOOK_CLIENT])
def test_a_meter_without_a_title_of_its_own_is_refused(title: bytes) -> None:
    us = context(BOOK_CLIENT)

    with pytest.raises(Untrusted, match="wrong_title"):
        us.meet(title)
    with pytest.raises(Untrusted, match="wrong_title"):
        us.meet(BOOK_TITLE, expected=bytes(8))


def test_a_key_of_the_association_replaces_the_key_of_the_meter() -> None:
    for general in (False, True):
        us, meter = pair()
        meter.general = general
        still_global = meter.protect(ANSWER)
        us.use_dedicated(Secret(b"k" * 16))
        meter.use_dedicated(Secret(b"k" * 16))

        sealed = meter.protect(ANSWER)
        assert sealed[0] == (220 if general else 0xD4)
        assert us.unprotect(sealed) == ANSWER
        with pytest.raises(Untrusted, match="replay"):
            us.unprotect(sealed)
        with pytest.raises(Untrusted, match="another key"):
            us.unprotect(still_global)


def test_the_consent_to_a_dedicated_key_still_comes_under_the_meter_s_key() -> None:
    us, meter = pair()
    us.use_dedicated(Secret(b"k" * 16))
    consent = bytes.fromhex("0800065f1f040000501f01f40007")

    assert us.unprotect(meter.protect(consent)) == consent


def test_a_message_that_claims_another_kind_inside_is_refused() -> None:
    us, meter = pair()
    sealed = bytearray(meter.protect(ANSWER))
    sealed[0] = 0xCF

    with pytest.raises(Malformed):
        us.unprotect(bytes(sealed))


@pytest.mark.parametrize("octets", ["", "cc", "cc05", "cc0530", "cc0530000000", "db", "db08", "cc06300000000100ff"])
def test_a_message_cut_short_is_refused(octets: str) -> None:
    us, _ = pair()

    with pytest.raises((Malformed, Untrusted)):
        us.unprotect(bytes.fromhex(octets))
    assert us.heard == -1


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        b"",
        bytes(17),
        bytes.fromhex("1001234567fe1466afb3dbcd4f9389e2b8"),
        bytes.fromhex("1101234567fe1466afb3dbcd4f9389e2b7"),
        bytes.fromhex("1001234567fe1466afb3dbcd4f9389e2"),
    ],
)
def test_a_meter_that_cannot_prove_itself_is_refused(reply: object) -> None:
    us = context(BOOK_CLIENT, peer=BOOK_TITLE)

    with pytest.raises(Untrusted, match="failed_challenge"):
        us.check_reply(reply, b"K56iVagY")
    assert us.heard == -1


def test_an_old_proof_stays_old() -> None:
    us = SecurityContext(BOOK_CLIENT, KEYS, Protection.BOTH, itertools.count().__next__, heard=BOOK_COUNTER)
    us.meet(BOOK_TITLE)

    with pytest.raises(Untrusted, match="replay"):
        us.check_reply(bytes.fromhex("1001234567fe1466afb3dbcd4f9389e2b7"), b"K56iVagY")


def test_a_proof_may_be_older_than_the_message_that_carries_it() -> None:
    us, meter = pair()
    proof = meter.challenge_reply(b"K56iVagY")

    us.unprotect(meter.protect(ANSWER))
    us.check_reply(proof, b"K56iVagY")

    assert us.heard == BOOK_COUNTER + 1


def test_a_challenge_must_be_one_and_must_not_be_ours() -> None:
    check_challenge(b"x" * 8, b"y" * 32)
    for wrong in (b"", b"x" * 7, b"x" * 65):
        with pytest.raises(Declined):
            check_challenge(wrong, b"y" * 32)
    with pytest.raises(Untrusted, match="our own challenge"):
        check_challenge(b"y" * 32, b"y" * 32)


def test_keys_are_not_shown() -> None:
    us, _ = pair()

    shown = repr(us) + repr(KEYS) + str(KEYS) + f"{KEYS.encryption}" + repr(vars(us))

    for secret in (EK, AK):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
