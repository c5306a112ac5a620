"""Which identifiers to ask for: whole blocks where that costs the line less than their values one by one.

What a meter has refused is asked for no more, until all is forgotten when the line is opened anew or after
``TRUSTED_MS``: the meter may have been exchanged. A refused block costs nothing but line time, its values are asked one
by one; a single value is believed to be missing once it was refused twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge_agent.drivers.dlt645.data import expected_octets, series_of_block, values_in_block
from edge_agent.drivers.dlt645.frame import ErrorWord
from edge_agent.drivers.dlt645.profile import Dlt645Profile

TRUSTED_MS: Final = 6 * 3_600_000

_MISSING: Final = ErrorWord.NO_DATA | ErrorWord.PASSWORD
_BELIEVED_AFTER: Final = 2


@dataclass(slots=True)
class Refusals:
    """What one meter has refused so far."""

    since_ms: int
    _times: Counter[str] = field(default_factory=Counter)

    def refused(self, identifier: str, code: int | None) -> bool:
        """Note a refusal; whether it says that the meter does not give this without a password, or at all."""
        missing = bool((code or 0) & _MISSING)
        self._times[identifier] += missing
        return missing

    def known(self, identifier: str, now_ms: int) -> bool:
        """Whether it is useless to ask."""
        if now_ms - self.since_ms > TRUSTED_MS:
            self._times.clear()
            self.since_ms = now_ms
        return self._times[identifier] >= (1 if series_of_block(identifier) else _BELIEVED_AFTER)


def identifiers_for(
    profile: Dlt645Profile,
    quantities: frozenset[str],
    useless: Callable[[str], bool],
    exchange_s: Callable[[int], float],
) -> dict[str, Mapping[str, str]]:
    """What to ask for, in the order of the map: by identifier, the quantities wanted of its values.

    Args:
        profile: the meter's.
        quantities: what is wanted.
        useless: whether the meter is known to refuse an identifier.
        exchange_s: how long an answer with so many octets holds the line.
    """
    wanted = {one.identifier: one.quantity for one in profile.values if one.quantity in quantities}
    wanted = {identifier: name for identifier, name in wanted.items() if not useless(identifier)}
    asked: dict[str, Mapping[str, str]] = {}
    of_block: dict[str, str] = {}
    for block in profile.blocks:
        here = [identifier for identifier in values_in_block(block) if identifier in wanted]
        singly_s = sum(exchange_s(expected_octets(identifier)) for identifier in here)
        if not useless(block) and exchange_s(expected_octets(block)) < singly_s:
            of_block |= dict.fromkeys(here, block)
    for identifier in wanted:
        block_or_value = of_block.get(identifier, identifier)
        if block_or_value not in asked:
            members = [one for one in wanted if of_block.get(one, one) == block_or_value]
            asked[block_or_value] = {one: wanted[one] for one in members}
    return asked
