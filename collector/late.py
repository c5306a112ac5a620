"""Which gateways have to be judged again, since when, and when it is worth it.

Judging a gateway again costs a day of its readings, and what comes late comes in many pieces: the load profiles of a
park are read meter by meter. So a gateway is left until nothing late has come of it for a while, or until it has
waited for long. What is late is kept with every commit, so that neither a crash nor a restart forgets it.
"""

from __future__ import annotations

from collections.abc import Mapping


class Late:
    """The gateways that wait."""

    def __init__(self, since: Mapping[str, int], settles_s: float, longest_s: float) -> None:
        """Take up what was late before; it has settled.

        Args:
            since: gateway → the oldest instant that came late, ms.
            settles_s: how long nothing late must have come.
            longest_s: after so long a gateway is judged whatever still comes.
        """
        self._since = dict(since)
        self._settles_s = settles_s
        self._longest_s = longest_s
        self._due_at: dict[str, float] = {}
        self._latest_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        return bool(self._since)

    def note(self, late: Mapping[str, int], now_s: float) -> None:
        """Gateways, each with an instant since which it is late."""
        for gateway, since in late.items():
            self._since[gateway] = min(self._since.get(gateway, since), since)
            latest_at = self._latest_at.setdefault(gateway, now_s + self._longest_s)
            self._due_at[gateway] = min(now_s + self._settles_s, latest_at)

    def due(self, now_s: float) -> list[tuple[str, int]]:
        """The gateways to judge now, and since when."""
        return [(gateway, since) for gateway, since in self._since.items() if self._due_at.get(gateway, now_s) <= now_s]

    def wait_s(self, now_s: float) -> float | None:
        """How long until one is due; ``None`` if none waits."""
        return min((max(0.0, self._due_at.get(one, now_s) - now_s) for one in self._since), default=None)

    def postpone(self, gateway: str, until_s: float) -> None:
        """It could not be judged: not before ``until_s``."""
        self._due_at[gateway] = self._latest_at[gateway] = until_s

    def done(self, gateway: str) -> None:
        """It was judged."""
        for kept in (self._since, self._due_at, self._latest_at):
            kept.pop(gateway, None)
