"""Temporary capacity as it is sent: a meter's whole list, which takes the place of the list that arrived before."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field

from metering.settings import Identifier, Settings


class ApprovalGiven(Settings):
    """One request or approval of temporary capacity (临时增容)."""

    model_config = ConfigDict(populate_by_name=True)

    id: Identifier = Field(description="Name, so that a later list can take its place.")
    starts_at: AwareDatetime = Field(alias="from", description="First instant of the window.")
    ends_at: AwareDatetime = Field(alias="to", description="First instant after the window.")
    kva: float = Field(gt=0, description="Capacity inside the window, kVA.")
    requested_at: AwareDatetime | None = Field(None, description="When the customer asked for it.")
    approved_at: AwareDatetime | None = Field(None, description="When it was approved.")
    status: Literal["requested", "approved", "refused"] = Field(
        "approved", description="Only what is approved lifts a limit."
    )


class ApprovalList(Settings):
    """All temporary capacity of a meter."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "meter": "shop-101",
                    "approvals": [
                        {
                            "id": "ta-2026-17",
                            "from": "2026-11-10T00:00:00+08:00",
                            "to": "2026-11-13T00:00:00+08:00",
                            "kva": 60,
                            "status": "approved",
                        }
                    ],
                }
            ]
        }
    )

    meter: Identifier = Field(description="The meter; it has to be registered.")
    approvals: tuple[ApprovalGiven, ...] = Field(description="Its requests and approvals; none: all are withdrawn.")
