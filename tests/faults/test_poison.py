"""The rule: no bytes a gateway can send stop the collector, make it lose a good round, or vanish unseen.

What can never be stored is quarantined with its reason, counted, and acknowledged if its number can be read, so that
the good rounds behind it pass. What is missing is asked for again; what comes twice is acknowledged twice and stored
once; what a gateway says it has lost is counted. The gateway is played by hand, everything else is real.
"""

from __future__ import annotations

import msgspec
import pytest
import zstandard

from metering.codec import MAX_MESSAGE_BYTES, encode_packed
from metering.message import Envelope
from metering.packed_body import MAX_BODY_BYTES, encode_body
from metering.round import Gap
from tests.support.central import central, times
from tests.support.gateway import METERS, ScriptedGateway, a_round, gateway_at
from tests.support.rounds import MINUTE, T0
from tests.support.waiting import until

pytestmark = pytest.mark.servers


def instants(*seqs: int) -> list[int]:
    return [T0 + seq * MINUTE for seq in seqs]


def unknown_quantity(seq: int) -> bytes:
    body = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(encode_body(a_round(seq))))
    body["columns"] = [["phase_of_the_moon", 3, body["columns"][0][2]]]
    return compressed(msgspec.msgpack.encode(body))


def poisons(gateway: ScriptedGateway, first: int) -> dict[str, bytes]:
    """One message of each kind that can never be stored, numbered from ``first`` on, by what its reason says."""
    good = encode_body(a_round(first))
    bodies = {
        "did not decompress full frame": good[: len(good) // 2],
        "corrupt": good[:12] + bytes(byte ^ 0xFF for byte in good[12:]),
        f"stay below {MAX_BODY_BYTES}": compressed(bytes(MAX_BODY_BYTES + 1)),
        "Expected `object`": compressed(msgspec.msgpack.encode(["not", "a", "round"])),
        "the body says gateway gw-9": encode_body(a_round(first, gateway="gw-9")),
        "phase_of_the_moon": unknown_quantity(first),
        f"the limit is {MAX_MESSAGE_BYTES}": bytes(MAX_MESSAGE_BYTES),
    }
    return {
        reason: encode_packed(gateway.envelope(seq), body) for seq, (reason, body) in enumerate(bodies.items(), first)
    }


def compressed(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=True).compress(body)


async def test_poison_is_quarantined_counted_and_acknowledged_and_good_rounds_pass(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold([a_round(1)])
        await gateway.send(1)
        await gateway.until_acknowledged(1)
        bad = poisons(gateway, 2)
        for payload in bad.values():
            await gateway.publish(payload)
        last_bad = 1 + len(bad)
        await gateway.until_acknowledged(last_bad)
        nameless = [b"", b"\x00garbage without an envelope", b"\x01short", b"x" * (MAX_MESSAGE_BYTES + 1)]
        for payload in nameless:
            await gateway.publish(payload)
        gateway.hold([a_round(last_bad + 1)], last_bad + 1)
        await gateway.send(last_bad + 1)
        await gateway.until_acknowledged(last_bad + 1)
        listed = await centre.json("quarantine")
        status, said = await centre.ask("replay")
        await centre.collector.stop()
        kept = centre.quarantined()
        stored = centre.stored()
        counted = centre.log()[-1]

    assert stored == times(instants(1, last_bad + 1), METERS)
    assert [payload for _, _, _, payload in kept] == [*bad.values(), *nameless]
    for reason, (kind, origin, why, _) in zip(bad, kept, strict=False):
        assert (kind, origin) == ("message", "gw-1")
        assert reason.lower() in why.lower()
    assert [one["bytes"] for one in listed] == [len(payload) for _, _, _, payload in kept]
    assert (status, said.strip()) == (1, f"0 stored, {len(kept)} still refused")
    assert (counted["event"], counted["poison"], counted["rounds"]) == ("collector stopped", len(kept), 2)


async def test_a_hole_is_asked_for_again_and_filled(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold(a_round(seq) for seq in range(1, 6))
        await gateway.send(1, 3, 4)
        await until(lambda: gateway.last and gateway.last.resend, "the missing round is asked for")
        asked = gateway.last
        before = centre.stored()
        await gateway.send(2, 3, 4, 5)
        await gateway.until_acknowledged(5)
        after = centre.stored()

    assert (asked.seq, asked.resend) == (1, True)
    assert before == times(instants(1), METERS)
    assert after == times(instants(1, 2, 3, 4, 5), METERS)


async def test_what_comes_twice_is_acknowledged_twice_and_stored_once(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold(a_round(seq) for seq in range(1, 4))
        await gateway.send(1, 2, 3)
        await gateway.until_acknowledged(3)
        answers = len(gateway.acks)
        await gateway.send(2)
        again = await gateway.until_answered(answers + 1)
        (mark,) = await centre.json("query", "sequence")
        stored = centre.stored()

    assert (again.seq, again.resend) == (3, False)
    assert (mark["seq"], mark["rounds"]) == (3, 3)
    assert stored == times(instants(1, 2, 3), METERS)


async def test_an_epoch_nobody_knows_starts_at_the_oldest_round_its_spool_holds(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port, epoch=9, oldest=10) as gateway:
        gateway.hold((a_round(seq) for seq in range(10, 13)), 10)
        await gateway.send(12)
        await until(lambda: gateway.last and gateway.last.resend, "the rounds before it are asked for")
        assert gateway.last.seq == 9
        await gateway.send(10, 11, 12)
        await gateway.until_acknowledged(12)
        stored = centre.stored()
        (mark,) = await centre.json("query", "sequence")

    assert stored == times(instants(10, 11, 12), METERS)
    assert (mark["epoch"], mark["rounds"], mark["rounds_lost"]) == ("0000000000000009", 3, 0)


async def test_two_epochs_of_one_gateway_do_not_acknowledge_each_other(tmp_path):
    async with (
        central(tmp_path) as centre,
        gateway_at(centre.broker.port) as old,
        gateway_at(centre.broker.port, epoch=2) as new,
    ):
        old.hold(a_round(seq) for seq in range(1, 4))
        await old.send(1, 2, 3)
        await old.until_acknowledged(3)
        new.hold([a_round(50), a_round(51)])
        await new.send(2)
        await until(lambda: new.last and new.last.resend, "the new spool is asked for its first round")
        assert new.last.seq == 0
        await new.send(1, 2)
        await new.until_acknowledged(2)
        stored = centre.stored()

    assert stored == times(instants(1, 2, 3, 50, 51), METERS)


async def test_a_gap_moves_the_ledger_on_and_what_it_lost_is_counted(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold([a_round(1), Gap("gw-1", 2, 7, 18, "evicted"), a_round(8)])
        await gateway.send(1, 7)
        await gateway.until_acknowledged(7)
        await gateway.send(7, 8)  # the gap again: its loss counts once
        await gateway.until_acknowledged(8)
        (mark,) = await centre.json("query", "sequence")
        stored = centre.stored()

    assert {name: mark[name] for name in ("seq", "rounds", "rounds_lost", "rows_lost", "skipped")} == {
        "seq": 8,
        "rounds": 2,
        "rounds_lost": 6,
        "rows_lost": 18,
        "skipped": 0,
    }
    assert stored == times(instants(1, 8), METERS)


async def test_a_gap_that_grew_while_it_was_under_way_counts_only_what_is_new(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        await gateway.publish(encode_packed(Envelope(1, 4, 3), encode_body(Gap("gw-1", 1, 4, 12, "evicted"))))
        await gateway.until_acknowledged(4)
        await gateway.publish(encode_packed(Envelope(1, 6, 5), encode_body(Gap("gw-1", 1, 6, 18, "evicted"))))
        await gateway.until_acknowledged(6)
        (mark,) = await centre.json("query", "sequence")

    assert (mark["rounds_lost"], mark["rows_lost"]) == (6, 18)


async def test_a_collector_killed_at_any_moment_says_again_how_far_it_is(tmp_path):
    last = 120
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold(a_round(seq) for seq in range(1, last + 1))
        for up_to in (40, 80, last):
            acknowledged = gateway.last.seq if gateway.last else 0
            await gateway.send(*range(acknowledged + 1, up_to + 1))
            if up_to < last:
                await centre.collector.kill()  # somewhere between the first commit of these and the last
                heard = len(gateway.acks)
                await centre.start_collector()
                await gateway.send(up_to)  # whoever has no acknowledgement asks like this
                await gateway.until_answered(heard + 1)
        await gateway.until_acknowledged(last)
        stored = centre.stored()
        (mark,) = await centre.json("query", "sequence")

    assert stored == times(instants(*range(1, last + 1)), METERS)
    assert (mark["rounds"], mark["rounds_lost"], mark["skipped"]) == (last, 0, 0)


async def test_a_collector_that_lost_its_state_gets_everything_the_spool_still_holds(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold(a_round(seq) for seq in range(1, 31))
        await gateway.send(*range(1, 31))
        await gateway.until_acknowledged(30)
        await centre.collector.kill()
        for file in tmp_path.glob("state.db*"):
            file.unlink()
        for file in tmp_path.glob("readings.db*"):  # and the disk behind it
            file.unlink()
        await centre.start_collector()
        gateway.oldest = 11  # the spool has let go of the first ten
        gateway.hold([a_round(31)], 31)
        await gateway.send(31)
        await gateway.until_acknowledged(10)
        asked = gateway.last
        await gateway.send(*range(11, 32))
        await gateway.until_acknowledged(31)
        stored = centre.stored()

    assert asked.resend
    assert stored == times(instants(*range(11, 32)), METERS)


async def test_what_a_gateway_gave_up_without_knowing_that_it_was_stored_is_not_counted_as_lost(tmp_path):
    async with central(tmp_path) as centre, gateway_at(centre.broker.port) as gateway:
        gateway.hold(a_round(seq) for seq in range(1, 9))
        await gateway.send(*range(1, 9))
        await gateway.until_acknowledged(8)  # it has not heard that, and its spool is full
        gap = Gap("gw-1", 1, 10, 10 * len(METERS), "evicted")
        await gateway.publish(encode_packed(Envelope(1, 10, 9), encode_body(gap)))
        await gateway.until_acknowledged(10)
        (mark,) = await centre.json("query", "sequence")

    assert (mark["rounds"], mark["rounds_lost"], mark["rows_lost"]) == (8, 2, 2 * len(METERS))
