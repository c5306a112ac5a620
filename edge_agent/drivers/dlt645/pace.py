"""How long one DL/T 645 exchange holds the line.

Question and answer are each 12 characters and their data, four FE before them; between them the meter thinks, 20 to 500
ms by the standard. A character has eleven bits: start, eight, even parity, stop.

Pure arithmetic: the wait itself is the link's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.dlt645.frame import FRAME_OCTETS, LONGEST_DATA, PREAMBLE

_IDENTIFIER: Final = 4
_ENVELOPE: Final = len(PREAMBLE) + FRAME_OCTETS + _IDENTIFIER


@dataclass(frozen=True, slots=True)
class LinePace:
    """What time an exchange takes on one line."""

    character_s: float
    turnaround_s: float  # the meter thinks, the serial server passes on

    @property
    def question_s(self) -> float:
        """How long a question takes to go out."""
        return _ENVELOPE * self.character_s

    def answer_s(self, octets: int) -> float:
        """How long an answer with so many octets behind its identifier takes to come in."""
        return (_ENVELOPE + octets) * self.character_s

    def exchange_s(self, octets: int) -> float:
        """How long the exchange holds the line.

        >>> round(LinePace(11 / 2400, 0.05).exchange_s(6), 3)  # a block of three voltages
        0.261
        """
        return self.question_s + self.turnaround_s + self.answer_s(octets)

    @property
    def longest_answer_s(self) -> float:
        """How long the longest frame takes to come in."""
        return self.answer_s(LONGEST_DATA - _IDENTIFIER)
