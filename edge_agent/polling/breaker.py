"""A breaker leaves alone what keeps failing, and tries it again after ever longer pauses.

    closed --- n failures in a row ---> open --- pause over ---> one probe --- good ---> closed
                                          ^                          |
                                          +---- bad: double pause ---+

Pauses are not jittered: one gateway asks its own meters, there is no herd to spread, and a meter that comes
back is heard at a moment that can be foretold.
"""

from __future__ import annotations

from typing import Final

FIRST_PAUSE_MS: Final = 30_000
LONGEST_PAUSE_MS: Final = 600_000


class Breaker:
    """For one meter or one line. Times are wall clock; a clock set back ends the pause."""

    def __init__(
        self, failures: int = 3, first_pause_ms: int = FIRST_PAUSE_MS, longest_pause_ms: int = LONGEST_PAUSE_MS
    ) -> None:
        self._limit = failures
        self._first_pause_ms = first_pause_ms
        self._longest_pause_ms = longest_pause_ms
        self._failures = 0
        self._failed_at_ms = 0

    @property
    def suspect(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @property
    def open(self) -> bool:
        """Whether it has failed so often that it is asked only now and then."""
        return self._failures >= self._limit

    @property
    def pause_ms(self) -> int:
        """How long it is left alone after the last failure; 0 while closed."""
        if not self.open:
            return 0
        doublings = min(self._failures - self._limit, 30)
        return min(self._first_pause_ms << doublings, self._longest_pause_ms)

    def allows(self, now_ms: int) -> bool:
        """Whether to ask now."""
        return not self._failed_at_ms <= now_ms < self._failed_at_ms + self.pause_ms

    def succeeded(self) -> None:
        """It answered: everything is forgotten."""
        self._failures = 0

    def failed(self, now_ms: int) -> None:
        """It did not answer."""
        self._failures += 1
        self._failed_at_ms = now_ms
