"""The rows of one tick of one rate group, gathered from all buses into rounds.

The round closes when every meter has a row, or at its deadline; rows that come later make a further round of
the same tick. So a slow meter delays nobody and loses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge_agent.polling.schedule import Tick
from metering.round import Column, Origin, Quality, Round, pack


@dataclass(frozen=True, slots=True)
class Row:
    """One meter at one tick: values, or the bit that says why there are none."""

    meter: str
    measured_at: int  # ms since 1970 UTC
    quality: Quality
    values: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RoundName:
    """What all rounds of one rate group have in common."""

    gateway: str
    group: str
    period_ms: int
    quantities: tuple[str, ...]  # the columns, in order


class Gathering:
    """One tick until its last row."""

    def __init__(self, name: RoundName, tick: Tick, meters: Sequence[str]) -> None:
        self.tick = tick
        self._name = name
        self._awaited = set(meters)
        self._order = {meter: place for place, meter in enumerate(meters)}
        self._rows: list[Row] = []

    @property
    def complete(self) -> bool:
        """Whether every meter has had its row."""
        return not self._awaited

    def add(self, row: Row) -> None:
        """Take one row; a second row of a meter is not taken."""
        if row.meter in self._awaited:
            self._awaited.remove(row.meter)
            self._rows.append(row)

    def take(self) -> Round | None:
        """The rows since the last call as a round, in the order of the configuration."""
        rows, self._rows = sorted(self._rows, key=lambda row: self._order[row.meter]), []
        if not rows:
            return None
        columns = tuple(Column.of(name, (row.values.get(name) for row in rows)) for name in self._name.quantities)
        return Round(
            self._name.gateway,
            self._name.group,
            Origin.LIVE,
            self._name.period_ms,
            self.tick.scheduled_at,
            tuple(row.meter for row in rows),
            pack((row.measured_at for row in rows), "q"),
            pack((int(row.quality) for row in rows), "I"),
            columns,
        )
