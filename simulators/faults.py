"""What goes wrong between a meter and whoever asks it: seeded, and switchable while the park runs.

The wire takes a finished answer, whatever its framing, and decides what arrives of it and when. It never makes a wrong
*value*: an answer that arrives whole is right, except under ``garbage``.

    silent             nothing arrives
    drop               the same, for a share of the answers
    dead               the same: the meter has no power
    delay              arrives later
    late               arrives so late that the next question is under way
    noise              some octets are flipped on the line (behind a serial server that translates: nothing arrives)
    garbage            random bytes arrive instead
    flood              far more of them than any answer has
    babble             random bytes arrive before the answer
    cut                half of the answer arrives, then the connection is closed; on a serial line nothing more comes
    echo               a serial adapter hears itself: the question comes back before the answer
    exception          the meter refuses with an exception code
    short              less than was asked, in a well-formed answer
    wrong_unit         the answer names a neighbour
    wrong_transaction  the answer to some other request
    close              the connection is closed instead; on a serial line nothing arrives
    refuse             the same, and new connections are closed as soon as they are made

``silent``, ``drop`` and ``dead`` differ only in their usual ``share``. What makes a *value* wrong is a lie of the
meter, see ``lies``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, get_args

from simulators.framing import Carried, Frame, Said

FaultName = Literal[
    "silent",
    "drop",
    "dead",
    "delay",
    "late",
    "noise",
    "garbage",
    "flood",
    "babble",
    "cut",
    "echo",
    "exception",
    "short",
    "wrong_unit",
    "wrong_transaction",
    "close",
    "refuse",
]

_LATE_S: Final = 1.2  # behind the usual time-out of a second
_FOREVER_MS: Final = 2**62
_LAST_UNIT: Final = 247
_FLOOD_OCTETS: Final = 800
_MOST_BEFORE: Final = 12

_OF_THE_METER: Final[frozenset[FaultName]] = frozenset({"exception", "short", "wrong_transaction"})
_OF_THE_LINE: Final[frozenset[FaultName]] = frozenset(get_args(FaultName)) - _OF_THE_METER - {"echo"}

S = TypeVar("S", bound=Said)


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

    def echoes(self, unit: int, now_ms: int) -> bool:
        """Whether a question to this unit comes back on a serial line."""
        return any(
            f.name == "echo" and f.strikes(unit, now_ms) and self._random.random() < f.share for f in self.faults
        )

    def deliver(self, answer: Frame, now_ms: int) -> Delivery:
        """What becomes of one whole answer."""
        return self.carried(self.altered(answer, now_ms), now_ms)

    def altered(self, answer: S, now_ms: int) -> S:
        """What the meter says instead, if it says something else."""
        for fault in self._striking(answer.unit, now_ms, _OF_THE_METER):
            match fault.name:
                case "exception":
                    answer = answer.refused(fault.code)
                case "short":
                    answer = answer.shortened()
                case "wrong_transaction":
                    answer = answer.astray()
        return answer

    def carried(self, answer: Carried, now_ms: int) -> Delivery:
        """What reaches the other side of what the meter says."""
        delay_s = 0.0
        octets: bytes | None = None
        for fault in self._striking(answer.unit, now_ms, _OF_THE_LINE):
            delay_s += fault.delay_s or (_LATE_S if fault.name == "late" else 0.0)
            match fault.name:
                case "silent" | "drop" | "dead":
                    return Delivery()
                case "close" | "refuse":
                    return Delivery(close=True)
                case "cut":
                    return Delivery(answer.octets[: len(answer.octets) // 2], delay_s, close=True)
                case "wrong_unit":
                    octets = answer.from_unit(answer.unit % _LAST_UNIT + 1).octets
                case "garbage":
                    octets = self._random.randbytes(len(answer.octets))
                case "flood":
                    octets = self._random.randbytes(_FLOOD_OCTETS)
                case "babble":
                    octets = self._random.randbytes(self._random.randint(1, _MOST_BEFORE)) + answer.octets
                case "noise":
                    octets = answer.damaged(self._random)
        return Delivery(answer.octets if octets is None else octets, delay_s)

    def _striking(self, unit: int, now_ms: int, names: frozenset[FaultName]) -> list[Fault]:
        """The faults with such names that the answer at hand suffers."""
        return [
            fault
            for fault in self.faults
            if fault.name in names and fault.strikes(unit, now_ms) and self._random.random() < fault.share
        ]
