"""What a gateway does for its meters beside polling them, as gateway.yaml says it."""

from __future__ import annotations

from pydantic import Field

from metering.settings import Duration, Settings


class UpkeepSettings(Settings):
    """What is done for the meters beside polling."""

    load_profile: bool = Field(True, description="Read back from a meter's own history what is missing of it.")
    most_days_back: int = Field(40, ge=1, le=366, description="How far back to ask at most.")
    events_every: Duration = Field(900.0, ge=60, le=86_400, description="How often to read the event logs of meters.")
    clock_every: Duration = Field(
        86_400.0, ge=600, le=86_400, description="How often to compare a meter's clock with ours, if no group does."
    )
    clock_limit: Duration = Field(
        300.0,  # 时钟超差 (3105) of public terminal firmware; the centre allows for as much
        ge=5,
        le=86_400,
        description="How far a meter's clock may be off before its rows say so.",
    )
    line_share: float = Field(
        0.25, ge=0.01, le=0.5, description="Part of a line's time that all this may take, between the polls."
    )
