"""Whatever is pushed is read or refused with one of our errors, and every asker reads every push once, in its order."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlms.counter_store import CounterFile
from edge_agent.drivers.dlms.errors import DlmsError
from edge_agent.drivers.dlms.keys import Secret
from edge_agent.drivers.dlms.profile import DlmsProfile, load_dlms_profile
from edge_agent.drivers.dlms.push_gate import PushGate, PushSeal, Sender
from edge_agent.drivers.dlms.push_inbox import PushInbox
from edge_agent.drivers.dlms.push_list import values_of
from edge_agent.drivers.dlms.security import Keys, Protection
from edge_agent.drivers.driver import Reading
from simulators.dlms.pushing import PushingMeter
from tests.support.dlms_park import AK, EK, METER_TITLE, NOON_MS, SHANGHAI
from tests.support.pushing import PROFILE, entries, sealing


def profile() -> DlmsProfile:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pushing.yaml"
        path.write_text(PROFILE, encoding="utf-8")
        return load_dlms_profile(path)


LIST = profile()
HEADS = st.sampled_from([b"", b"\x0f", b"\x0f\0\0\0\1\0", b"\xdb", b"\xdb\x08" + METER_TITLE])
ASKERS = (frozenset({"active_energy_import"}), frozenset({"voltage_l1"}))


def gate(folder: str) -> PushGate:
    seal = PushSeal(Protection.BOTH, lambda: Keys(Secret(EK), Secret(AK)), CounterFile(Path(folder) / "m1.json"))
    return PushGate({METER_TITLE.hex(): Sender("m1", LIST, seal), "CLEAR001": Sender("m2", LIST, None)})


def refused_or_read(octets: bytes) -> bool:
    """Whether it was read; whatever else it does fails the test."""
    with TemporaryDirectory() as folder:
        try:
            admitted = gate(folder).admit(octets)
            values_of(LIST.push, admitted.notification, SHANGHAI)
        except DlmsError:
            return False
    return True


@given(HEADS, st.binary(max_size=120))
def test_any_octets_are_read_or_refused(head: bytes, octets: bytes):
    refused_or_read(head + octets)


@given(st.data())
def test_any_damage_to_a_sealed_push_is_refused(data):
    good = bytearray(sealing().push(entries(5)))
    at = data.draw(st.integers(0, len(good) - 1))
    good[at] ^= data.draw(st.integers(1, 255))

    assert not refused_or_read(bytes(good))


@given(st.data())
def test_any_damage_to_a_push_in_the_clear_is_read_or_refused(data):
    good = bytearray(PushingMeter().push(entries(5, "CLEAR001")))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    refused_or_read(bytes(good))


def test_what_is_whole_is_read():
    assert refused_or_read(sealing().push(entries(5)))
    assert refused_or_read(PushingMeter().push(entries(5, "CLEAR001")))


@given(st.lists(st.sampled_from(["push", 0, 1]), max_size=60))
def test_every_asker_reads_every_push_once_and_in_order(steps):
    inbox = PushInbox()
    pushed = 0
    read: list[list[int]] = [[], []]
    for step in steps:
        if step == "push":
            inbox.put("m", Reading(NOON_MS + pushed, {"active_energy_import": 1.0, "voltage_l1": 2.0}), 0.0)
            pushed += 1
            continue
        new = inbox.waits("m", ASKERS[step])
        found = inbox.take("m", ASKERS[step])
        assert (found is None) == (pushed == 0)
        if found is not None and new:
            read[step].append(found.measured_at - NOON_MS)
        elif found is not None:
            assert found.measured_at - NOON_MS == pushed - 1
    for n, asker in enumerate(ASKERS):
        while inbox.waits("m", asker):
            found = inbox.take("m", asker)
            assert found is not None
            read[n].append(found.measured_at - NOON_MS)

    assert read == [list(range(pushed))] * 2
    assert not inbox.lost["m"]


@given(st.integers(1, 20), st.integers(0, 30), st.integers(0, 30))
def test_what_a_full_queue_gives_up_is_counted(most: int, before: int, after: int):
    inbox = PushInbox(most)
    asker = ASKERS[0]
    taken = 0
    for n in range(before):
        inbox.put("m", Reading(n, {"active_energy_import": 1.0}), 0.0)
        taken += inbox.take("m", asker) is not None
    for n in range(after):
        inbox.put("m", Reading(before + n, {"active_energy_import": 1.0}), 0.0)
    while inbox.waits("m", asker):
        inbox.take("m", asker)
        taken += 1

    assert taken + inbox.lost["m"] == before + after
