"""What a DLMS meter does wrong that no other can, and what an attacker does in its place; the rest is ``Wire``'s.

wrong_invoke_id   the answer to another question
truncated_block   a message that ends too early
endless_blocks    a long answer that never ends
plaintext         an answer without a seal
downgrade         an answer sealed more weakly than agreed
forged_tag        a seal that does not fit
forged_counter    the same, with the highest counter there is
replay            an older answer once more
wrong_title       an answer under the title of another meter
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

FaultName = Literal[
    "wrong_invoke_id",
    "truncated_block",
    "endless_blocks",
    "plaintext",
    "downgrade",
    "forged_tag",
    "forged_counter",
    "replay",
    "wrong_title",
]


@dataclass(frozen=True, slots=True)
class DlmsFault:
    """One fault and how many of the answers it strikes."""

    name: FaultName
    share: float = 1.0


class DlmsFaults:
    """The faults of one meter. Change ``active`` at any time; the next answer meets the new ones."""

    def __init__(self, seed: int = 0, active: tuple[DlmsFault, ...] = ()) -> None:
        """Start with some faults."""
        self.active = active
        self._random = random.Random(seed)

    def strikes(self, name: FaultName) -> DlmsFault | None:
        """The fault of that name, if it strikes the answer at hand."""
        for fault in self.active:
            if fault.name == name and self._random.random() < fault.share:
                return fault
        return None
