"""Once a day of readings a gateway's state is kept as it was: late readings are judged from there.

What is older than the oldest state that is kept can be stored, but never judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.engine.checkpoint import Checkpoint

_EVERY_MS: Final = 86_400_000


class PastStates:
    """Knows which there are, and when the next one is due; the checkpoint keeps them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Ask the checkpoint about each gateway when it is heard of."""
        self._checkpoint = checkpoint
        self._spans: dict[str, tuple[int, int] | None] = {}  # gateway → instants of its oldest and its newest, ms
        self._too_late: set[str] = set()

    def due(self, gateway: str, newest: int) -> bool:
        """Whether the state as of the newest reading (ms) is to be kept."""
        span = self._span(gateway)
        return span is None or newest - span[1] >= _EVERY_MS

    def oldest(self, gateway: str) -> int | None:
        """The last reading (ms) that the oldest one knows of."""
        span = self._span(gateway)
        return None if span is None else span[0]

    def after_the_oldest(self, gateway: str, instants: Sequence[int]) -> list[int]:
        """Those of the instants (ms) that can still be judged; all of a gateway of which no state is kept."""
        oldest = self.oldest(gateway)
        return [at for at in instants if oldest is None or at > oldest]

    def first_too_late(self, gateway: str) -> bool:
        """Whether this is the first time since its states changed: once a day is often enough to tell."""
        first = gateway not in self._too_late
        self._too_late.add(gateway)
        return first

    def changed(self, gateway: str) -> None:
        """One was kept, or others in their place."""
        self._spans.pop(gateway, None)
        self._too_late.discard(gateway)

    def _span(self, gateway: str) -> tuple[int, int] | None:
        if gateway not in self._spans:
            self._spans[gateway] = self._checkpoint.past_states_span(gateway)
        return self._spans[gateway]
