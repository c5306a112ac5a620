"""Which readings come too late to be judged in their order.

A check takes a meter's readings in the order of time and passes over what is not newer. What is older than the newest
reading of its meter is *late*: it is stored, and everything since then is judged again later.
"""

from __future__ import annotations

import numpy as np

from collector.engine.fleet import Fleet, Floats
from collector.store.table import Rows


class Newest:
    """The newest reading of every slot."""

    def __init__(self, fleet: Fleet) -> None:
        """Nothing was read yet."""
        self._fleet = fleet
        self._at: Floats = np.full(64, -np.inf)

    def of_gateway(self, gateway: str) -> int | None:
        """The newest reading of a gateway, ms."""
        slots = self._fleet.of_gateway(gateway)
        self._reach(slots)
        newest = float(self._at[slots].max()) if len(slots) else -np.inf
        return None if newest == -np.inf else int(newest)

    def take(self, slots: Rows, at: Floats) -> dict[str, list[int]]:
        """Note readings; return the gateways that have late ones, with their instants, ms."""
        self._reach(slots)
        late = np.flatnonzero(at < self._at[slots])
        np.maximum.at(self._at, slots, at)  # a backfill has a slot many times
        return self.by_gateway(slots[late], at[late])

    def by_gateway(self, slots: Rows, at: Floats) -> dict[str, list[int]]:
        """The instants of each gateway, ms."""
        found: dict[str, list[int]] = {}
        for slot, instant in zip(slots.tolist(), at.tolist(), strict=True):
            found.setdefault(self._fleet.series[slot].gateway, []).append(int(instant))
        return found

    def snapshot(self, gateway: str) -> bytes:
        """The newest readings of a gateway's meters, in the order of its slots."""
        slots = self._fleet.of_gateway(gateway)
        self._reach(slots)
        return self._at[slots].astype("<f8").tobytes()

    def restore(self, gateway: str, snapshot: bytes) -> None:
        """Take up newest readings; the gateway's slots are those of the engine's snapshot."""
        slots, values = self._fleet.of_gateway(gateway), np.frombuffer(snapshot, "<f8")
        self._reach(slots)
        if len(values) == len(slots):
            self._at[slots] = values

    def _reach(self, slots: Rows) -> None:
        needed = int(slots.max()) + 1 if len(slots) else 0
        if needed > len(self._at):
            self._at = np.concatenate([self._at, np.full(max(needed, 2 * len(self._at)) - len(self._at), -np.inf)])
