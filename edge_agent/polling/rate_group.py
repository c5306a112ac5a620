"""A rate group: the quantities that are read together, and how often."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from metering.settings import Duration, Identifier, Settings

Priority = Literal["high", "normal", "low"]
RANK: Final[dict[Priority, int]] = {"high": 0, "normal": 1, "low": 2}
"""Which rate group a bus serves first when it cannot serve all in time."""


class GroupSettings(Settings):
    """One rate group."""

    id: Identifier = Field(description="Name of the rate group.")
    every: Duration = Field(ge=1, le=86_400, description="Period; it must divide a day, so that instants recur.")
    quantities: tuple[str, ...] | None = Field(
        None, max_length=64, description="What to read; left out: all that no other group names."
    )

    priority: Priority = Field(
        "normal", description="Who goes first when a bus cannot read all in time: high, normal or low."
    )

    @property
    def period_ms(self) -> int:
        """The period in milliseconds."""
        return round(self.every * 1000)


def share(group: GroupSettings, groups: tuple[GroupSettings, ...], offered: frozenset[str]) -> frozenset[str]:
    """What one group reads of a meter that offers ``offered``."""
    if group.quantities is not None:
        return offered & frozenset(group.quantities)
    named = {quantity for other in groups for quantity in other.quantities or ()}
    return offered - named
