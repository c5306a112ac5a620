"""What goes wrong between a meter and whoever asks it: seeded, and switchable while the park runs.

The wire takes a finished Modbus TCP answer and decides what arrives of it and when. It never makes a wrong
*value*: an answer that arrives whole is right, except under ``garbage``.

    silent             nothing arrives
    drop               the same, for a share of the answers
    delay              arrives late
    garbage            random bytes arrive instead
    exception          the meter refuses with an exception code
    short              fewer registers than asked, in a well-formed answer
    wrong_transaction  the answer to some other request
    close              the connection is closed instead
    refuse             the same, and new connections are closed as soon as they are made

``silent`` and ``drop`` differ only in their usual ``share``.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from simulators.meter_image import refusal

FaultName = Literal["silent", "drop", "delay", "garbage", "exception", "short", "wrong_transaction", "close", "refuse"]

HEADER: Final = struct.Struct(">HHHB")  # transaction, protocol, length, unit
EXCEPTION_BIT: Final = 0x80

_FOREVER_MS: Final = 2**62


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of some units (``None``: of the whole endpoint), now or between two instants."""

    name: FaultName
    units: frozenset[int] | None = None
    share: float = 1.0  # of the answers that suffer
    delay_s: float = 0.0
    code: int = 4  # of the exception: 4 = device failure
    starts_at_ms: int = 0
    ends_at_ms: int = _FOREVER_MS

    def strikes(self, unit: int, now_ms: int) -> bool:
        """Whether the fault concerns this unit at this instant."""
        return (self.units is None or unit in self.units) and self.starts_at_ms <= now_ms < self.ends_at_ms


@dataclass(frozen=True, slots=True)
class Delivery:
    """What reaches the other side: bytes (perhaps none), after a delay, then perhaps the end of the connection."""

    data: bytes = b""
    delay_s: float = 0.0
    close: bool = False


class Wire:
    """The wire of one endpoint. Change ``faults`` at any time; the next answer meets the new ones."""

    def __init__(self, seed: int, faults: Iterable[Fault] = ()) -> None:
        """Start with some faults."""
        self.faults = tuple(faults)
        self._random = random.Random(seed)

    def refuses(self, now_ms: int) -> bool:
        """Whether new connections are turned away."""
        return any(f.name == "refuse" and f.starts_at_ms <= now_ms < f.ends_at_ms for f in self.faults)

    def deliver(self, answer: bytes, now_ms: int) -> Delivery:
        """What becomes of one whole answer (header and PDU)."""
        unit = answer[HEADER.size - 1]
        data, delay_s = answer, 0.0
        for fault in self.faults:
            if not fault.strikes(unit, now_ms) or self._random.random() >= fault.share:
                continue
            if fault.name in ("silent", "drop"):
                return Delivery()
            if fault.name in ("close", "refuse"):
                return Delivery(close=True)
            delay_s += fault.delay_s
            data = self._damaged(data, fault)
        return Delivery(data, delay_s)

    def _damaged(self, answer: bytes, fault: Fault) -> bytes:
        transaction, protocol, _, unit = HEADER.unpack_from(answer)
        pdu = answer[HEADER.size :]
        if fault.name == "garbage":
            return self._random.randbytes(len(answer))
        if fault.name == "exception":
            pdu = refusal(pdu[0], fault.code)
        elif fault.name == "short" and not pdu[0] & EXCEPTION_BIT:
            kept = pdu[1] // 4 * 2  # half of the registers
            pdu = bytes((pdu[0], kept)) + pdu[2 : 2 + kept]
        elif fault.name == "wrong_transaction":
            transaction = (transaction + 1) & 0xFFFF
        return HEADER.pack(transaction, protocol, len(pdu) + 1, unit) + pdu
