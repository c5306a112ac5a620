"""A door for meters that push (IEC 62056-5-3, DataNotification over the TCP wrapper), as gateway.yaml says it.

The meters connect to us. A sealed push is known by the meter's system title. In the clear it is known by what the meter
calls itself in the list, not by where it comes from: concentrators and mobile networks hide that. Neither says who sent
a push in the clear; so it must be asked for, meter by meter, with ``security: none``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings
from edge_agent.drivers.dlms.meter_mistakes import secret_mistakes
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.words import Words
from metering.settings import Duration, Identifier, Settings


class DlmsPushSettings(Settings):
    """Where we listen, and how much of it."""

    id: Identifier = Field(description="Name of the bus.")
    type: Literal["dlms_push"] = Field(description="What is spoken on the bus.")
    listen: str = Field("0.0.0.0", min_length=1, description="Our address that the meters push to.")
    port: int = Field(4059, ge=1, le=65535, description="Our TCP port that the meters push to.")
    every: Duration = Field(
        900.0, ge=1, le=86_400, description="How often a meter pushes; after three times as long it is silent."
    )
    connections: int = Field(64, ge=1, le=4096, description="Meters and concentrators connected at one time, at most.")
    idle: Duration = Field(300.0, ge=1, le=86_400, description="A connection without a push for so long is closed.")
    rate: float = Field(20.0, gt=0, le=10_000, description="Pushes a second that one connection may send for long.")
    counters: Path = Field(
        Path("/var/lib/wattline/counters"),
        description="Folder of the highest counters heard; it must never be rolled back.",
    )

    @property
    def host(self) -> str:
        """Where the line is."""
        return self.listen

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return False

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{self.rate:g} pushes/s"


def push_name(meter: DlmsAccessSettings) -> str:
    """By what the pushes of a meter are known; nothing if the file does not say it."""
    return (meter.system_title if meter.security == "gmac" else meter.push_identity) or ""


def push_meter_mistakes(meter: DlmsAccessSettings, folder: Path, say: Words) -> Iterator[tuple[str, str]]:
    """Key inside ``dlms:`` of a pushing meter and what is wrong; secrets are looked for from ``folder`` on."""
    if meter.security == "low" or (meter.security == "gmac" and not meter.protected):
        yield ("security" if meter.security == "low" else "protection"), say["push security"]
        return
    yield from secret_mistakes(meter, folder, say)
    if meter.security == "gmac" and meter.system_title is None:
        yield "system_title", say["push title"]
    if meter.security == "none" and meter.push_identity is None:
        yield "push_identity", say["push identity"]


def push_profile_mistake(meter: DlmsAccessSettings, name: str, profile: DlmsProfile, say: Words) -> str | None:
    """Why a profile is none for a pushing meter."""
    if not profile.pushed:
        return say["push list"].format(name)
    named = any(entry.holds == "identity" for entry in profile.push)
    return say["push unnamed"].format(name) if meter.security == "none" and not named else None
