import struct

from simulators.faults import Delivery, Fault, Wire

ANSWER = struct.pack(">HHHB", 0x1234, 0, 11, 5) + bytes((4, 8)) + bytes(range(8))


def test_a_wire_without_faults_delivers_what_it_gets() -> None:
    assert Wire(1).deliver(ANSWER, 0) == Delivery(ANSWER)


def test_a_fault_concerns_its_units_between_its_instants() -> None:
    wire = Wire(1, [Fault("silent", frozenset({5}), starts_at_ms=100, ends_at_ms=200)])

    assert [wire.deliver(ANSWER, at).data == b"" for at in (99, 100, 199, 200)] == [False, True, True, False]
    wire.faults = (Fault("silent", frozenset({6})),)
    assert wire.deliver(ANSWER, 150).data == ANSWER


def test_a_share_of_answers_suffers_and_the_seed_decides_which() -> None:
    def lost(seed: int) -> list[bool]:
        wire = Wire(seed, [Fault("drop", share=0.3)])
        return [not wire.deliver(ANSWER, 0).data for _ in range(1000)]

    assert lost(1) == lost(1) != lost(2)
    assert 240 < sum(lost(1)) < 360


def test_what_each_fault_delivers() -> None:
    def deliver(fault: Fault) -> Delivery:
        return Wire(1, [fault]).deliver(ANSWER, 0)

    assert deliver(Fault("delay", delay_s=0.5)) == Delivery(ANSWER, 0.5)
    assert deliver(Fault("exception", code=6)).data == struct.pack(">HHHB", 0x1234, 0, 3, 5) + b"\x84\x06"
    assert deliver(Fault("short")).data == struct.pack(">HHHB", 0x1234, 0, 7, 5) + bytes((4, 4, 0, 1, 2, 3))
    assert deliver(Fault("wrong_transaction")).data == b"\x12\x35" + ANSWER[2:]
    assert deliver(Fault("close")) == Delivery(close=True)
    assert deliver(Fault("refuse")) == Delivery(close=True)
    garbage = deliver(Fault("garbage")).data
    assert len(garbage) == len(ANSWER)
    assert garbage != ANSWER


def test_a_delay_adds_to_another_fault() -> None:
    wire = Wire(1, [Fault("delay", delay_s=0.2), Fault("delay", delay_s=0.3), Fault("exception")])

    assert wire.deliver(ANSWER, 0) == Delivery(struct.pack(">HHHB", 0x1234, 0, 3, 5) + b"\x84\x04", 0.5)


def test_a_refusal_stays_a_refusal_when_answers_are_cut_short() -> None:
    refused = struct.pack(">HHHB", 1, 0, 3, 5) + b"\x84\x02"

    assert Wire(1, [Fault("short")]).deliver(refused, 0).data == refused


def test_only_refuse_turns_connections_away() -> None:
    wire = Wire(1, [Fault("refuse", starts_at_ms=10, ends_at_ms=20), Fault("close")])

    assert [wire.refuses(at) for at in (9, 10, 20)] == [False, True, False]
