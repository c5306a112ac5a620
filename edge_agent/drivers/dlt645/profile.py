"""A profile of a DL/T 645 meter says which data identifier holds each quantity, and which blocks the meter answers.

The standard fixes how the digits behind an identifier are read (``data``), so a profile says nothing of that: meters
differ in what they have. ``config/profiles/README.md`` tells how to write one.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from edge_agent.drivers.dlt645.profile_mistakes import mistakes
from edge_agent.drivers.meter_model import MeterModel
from edge_agent.words import words
from metering.config_file import load_file
from metering.language import Language
from metering.settings import Settings, TimeZone

CLOCK_OFFSET: Final = "clock_offset"

Identifier = Annotated[str, Field(pattern="^[0-9A-F]{8}$", description="DI3 DI2 DI1 DI0, eight digits in quotes.")]
Records = Literal[
    "power_failures",
    "programmings",
    "clearings",
    "clock_settings",
    "cover_openings",
    "terminal_cover_openings",
    "magnetic_fields",
]


class ProfileValue(Settings):
    """Where one quantity stands."""

    quantity: str = Field(description="Name of the quantity, as in metering.quantity.")
    identifier: Identifier
    minimum: float | None = Field(None, description="Lowest credible value in our unit, before CT and PT ratio.")
    maximum: float | None = Field(None, description="Highest credible value in our unit, before CT and PT ratio.")
    rollover: float | None = Field(None, gt=0, description="Count at which an energy register starts anew, kWh, kvarh.")


class Dlt645Profile(MeterModel):
    """What one kind of DL/T 645 meter has."""

    values: tuple[ProfileValue, ...] = Field((), max_length=64, description="The map.")
    blocks: tuple[Identifier, ...] = Field((), max_length=32, description="Blocks that the meter answers.")
    clock: bool = Field(True, description="Whether the meter has a clock to be compared with ours.")
    timezone: TimeZone = Field("Asia/Shanghai", description="Local time of the meter's clock.")
    freezes: Literal["daily", "timed"] | None = Field(
        None, description="Which freezes the meter keeps: 日冻结 (0506, of the supplements) or 定时冻结 (0500)."
    )
    events: tuple[Records, ...] = Field((), description="Which event records the meter keeps.")

    @cached_property
    def zone(self) -> ZoneInfo:
        """Local time of the meter's clock."""
        return ZoneInfo(self.timezone)

    @property
    def rollovers(self) -> dict[str, float]:
        """Count at which a register starts anew, by quantity, at the meter's terminals."""
        return {one.quantity: one.rollover for one in self.values if one.rollover}

    @cached_property
    def quantities(self) -> frozenset[str]:
        """Everything the map offers."""
        return frozenset(one.quantity for one in self.values) | frozenset({CLOCK_OFFSET} if self.clock else ())


def load_dlt645_profile(path: Path, lang: Language = "en") -> Dlt645Profile:
    """Read one profile.

    Raises:
        ConfigError: every mistake of the file.
    """
    return load_file(path, Dlt645Profile, lang, lambda loaded: mistakes(loaded, words(lang)))
