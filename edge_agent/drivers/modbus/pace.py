"""How long one Modbus exchange holds the line, and so how long a hole is worth reading across.

On a serial line characters cost time (MODBUS over serial line V1.02, 2.3 and 2.5.1): a read of n registers is 8
characters of question and 5 + 2 n of answer, with a silence of 3.5 characters (1.75 ms above 19200 Bd) before each and
the meter's time to think between them. On TCP characters cost nearly nothing and every request costs a turnaround.

Pure arithmetic: the wait itself is the link's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.modbus.read_plan import LONGEST_READ

_QUESTION_CHARACTERS: Final = 8
_ANSWER_CHARACTERS: Final = 5  # and two a register
_FAST_BAUD: Final = 19_200
_FAST_SILENCE_S: Final = 0.00175
_SILENT_CHARACTERS: Final = 3.5


@dataclass(frozen=True, slots=True)
class Pace:
    """What time an exchange takes on one bus."""

    character_s: float  # 0 where characters cost nothing
    silence_s: float  # before the question, and before the answer
    turnaround_s: float  # the meter thinks, the network carries

    @classmethod
    def serial(cls, baudrate: int, bits: int, turnaround_s: float, silence_s: float = 0.0) -> Pace:
        """A serial line; ``bits`` a character with start, parity and stop, ``silence_s`` if more is wished than 3.5 t.

        >>> round(1 / Pace.serial(9600, 10, turnaround_s=0.0).read_s(40), 2)  # reads a second
        9.6
        """
        character_s = bits / baudrate
        least_s = _SILENT_CHARACTERS * character_s if baudrate <= _FAST_BAUD else _FAST_SILENCE_S
        return cls(character_s, max(least_s, silence_s), turnaround_s)

    @classmethod
    def network(cls, turnaround_s: float) -> Pace:
        """A TCP endpoint of which nothing is known but its turnaround."""
        return cls(0.0, 0.0, turnaround_s)

    def read_s(self, registers: int) -> float:
        """How long the exchange of one read holds the line."""
        characters = _QUESTION_CHARACTERS + _ANSWER_CHARACTERS + 2 * registers
        return characters * self.character_s + 2 * self.silence_s + self.turnaround_s

    @property
    def request_cost(self) -> int:
        """How many further registers cost as much as one more request; no more than one read may have."""
        if not self.character_s:
            return LONGEST_READ
        return min(LONGEST_READ, round(self.read_s(0) / (2 * self.character_s)))
