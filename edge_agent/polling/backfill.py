"""From a piece of a meter's history to a round of its own, and how long the next piece may be.

A row whose import register cannot have stood between the good rows beside the hole is left out: the meter's clock may
have put it on the wrong side of one, and a register that falls accuses somebody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge_agent.drivers.memory import IntervalRow
from edge_agent.polling.missing import Stretch
from metering.quantity import QUANTITIES
from metering.round import Column, Origin, Quality, Round, pack

IMPORT: Final = "active_energy_import"
GROUP: Final = "load_profile"
"""The rate group of every such round."""

_FIRST_PIECE: Final = 4  # intervals
_LONGEST_PIECE: Final = 96
_LONG_INTERVAL_MS: Final = 3_600_000  # a row of such an interval costs a meter several answers
_QUICK_S: Final = 0.25
_SLOW_S: Final = 0.5


class PieceSize:
    """How many intervals to ask for at once, so that one exchange takes half a second at most."""

    def __init__(self, interval_ms: int) -> None:
        """Begin small: nobody knows the line yet."""
        self.intervals = 1 if interval_ms >= _LONG_INTERVAL_MS else _FIRST_PIECE

    def took(self, elapsed_s: float, rows: int) -> None:
        """Learn from an exchange that went well; where there was nothing to read, only that it was slow."""
        if elapsed_s > _SLOW_S:
            self.failed()
        elif rows and elapsed_s < _QUICK_S:
            self.intervals = min(2 * self.intervals, _LONGEST_PIECE)

    def failed(self) -> None:
        """Ask for less."""
        self.intervals = max(self.intervals // 2, 1)


def fitting(rows: Iterable[IntervalRow], first: int, last: int, stretch: Stretch) -> list[IntervalRow]:
    """The rows that may stand in the stretch, between two instants (ms since 1970 UTC), both with them."""
    inside = (row for row in rows if first <= row.measured_at <= last and row.values)
    return [row for row in inside if stretch.fits(_as_carried(row.values.get(IMPORT)))]


def _as_carried(import_kwh: float | None) -> float | None:
    """As a round would give it back: the registers beside the hole have come out of rounds, too."""
    return None if import_kwh is None else Column.of(IMPORT, (import_kwh,)).values(1)[0]


def round_of(gateway: str, meter: str, period_ms: int, rows: list[IntervalRow], doubts: Quality) -> Round:
    """Rows of one meter, at least one, as a round; ``doubts`` is what is known against all of them."""
    named = {name for row in rows for name in row.values}
    columns = tuple(Column.of(name, (row.values.get(name) for row in rows)) for name in QUANTITIES if name in named)
    return Round(
        gateway,
        GROUP,
        Origin.BACKFILL,
        period_ms,
        rows[0].measured_at // period_ms * period_ms,
        tuple(meter for _ in rows),
        pack((row.measured_at for row in rows), "q"),
        pack((int(row.quality | doubts) for row in rows), "I"),
        columns,
    )
