"""What gateway.yaml says about every meter, whatever it speaks."""

from __future__ import annotations

from pydantic import Field

from metering.settings import Identifier, Ratio, Settings


class MeterOnBus(Settings):
    """One meter on one bus."""

    id: Identifier = Field(description="Name of the meter, unique in the whole fleet.")
    bus: Identifier = Field(description="Name of the bus it is on.")
    profile: Identifier = Field(description="Name of its register map, or of its DLMS profile.")
    maximum_current_a: float | None = Field(
        None, gt=0, le=10_000, description="Highest current on the name plate: 60 for 5(60) A, 6 for 1.5(6) A."
    )
    ct_ratio: Ratio = Field(
        1.0, gt=0, le=100_000, description="Current transformer ratio as on its plate: 200/5, or 40."
    )
    pt_ratio: Ratio = Field(1.0, gt=0, le=100_000, description="Voltage transformer ratio: 10000/100, or 100.")
