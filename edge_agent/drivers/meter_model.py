"""What every profile says about its model, whatever the meter speaks: who makes it, what it carries, who checked it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from metering.settings import Settings


class Rating(Settings):
    """What the meter's own terminals can carry; with it a jump of a register is judged."""

    maximum_current_a: float = Field(gt=0, le=10_000, description="Highest current a phase, A.")
    nominal_voltage_v: float = Field(gt=0, le=1000, description="Voltage of a phase against neutral, V.")
    phases: Literal[1, 3] = Field(3, description="Phases of the meter.")


class Source(Settings):
    """Where a map was taken from."""

    document: str = Field(description="The vendor's document, or 'not seen'.")
    page: str = Field("", description="Page or section of it.")
    taken_from: str = Field(description="What was really read: the document, or an open map with its version.")

    def __str__(self) -> str:
        return f"{self.document}{f', {self.page}' if self.page else ''} ({self.taken_from})"


class Note(Settings):
    """What a technician must know, in both languages."""

    en: str = Field(description="In English.")
    zh: str = Field(description="In Chinese.")


class MeterModel(Settings):
    """One model of meter."""

    manufacturer: str = Field(description="Who makes the meter.")
    model: str = Field(description="What the maker calls it.")
    source: Source = Field(description="Where the map was taken from.")
    checked_on_hardware: bool = Field(description="Whether someone compared it with the meter's display.")
    note: Note | None = Field(None, description="What a technician must know.")
    displays: Literal["primary", "terminals"] | None = Field(
        None,
        description="Whether the registers count on the primary side already, by ratios set in the meter (ct_ratio and "
        "pt_ratio stay 1), or at its terminals; absent: a meter without transformers, or not known.",
    )
    rating: Rating | None = Field(None, description="What the meter's terminals can carry.")
