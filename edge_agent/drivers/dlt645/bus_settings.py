"""How a line of DL/T 645 meters is connected, as gateway.yaml says it.

    dlt645_serial  a serial port of this gateway
    dlt645_tcp     a serial server that passes the characters of its line on as they are

The standard line has 2400 Bd, 8E1. ``timeout`` is for the begin of an answer, which a meter owes within 500 ms; the
time its characters take comes on top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from edge_agent.drivers.dlt645.pace import LinePace
from metering.settings import Duration, Identifier, Settings

_START_AND_DATA_BITS: Final = 9


class _Line(Settings):
    """What every line has."""

    id: Identifier = Field(description="Name of the bus.")
    baudrate: int = Field(2400, ge=300, le=4_000_000, description="Bits a second on the line.")
    parity: Literal["none", "even", "odd"] = Field("even", description="The standard says even.")
    stop_bits: Literal[1, 2] = Field(1, description="The standard says 1.")
    timeout: Duration = Field(1.0, ge=0.05, le=60, description="How long a meter may take to begin its answer.")
    turnaround: Duration = Field(
        0.05, ge=0.001, le=10, description="How long that usually takes; the plan is priced with it."
    )
    quiet: Duration = Field(
        0.5, ge=0, le=5, description="Silence after a question that failed: a meter may pause so long inside a frame."
    )

    @property
    def pace(self) -> LinePace:
        """What time an exchange takes."""
        bits = _START_AND_DATA_BITS + (self.parity != "none") + self.stop_bits
        return LinePace(bits / self.baudrate, self.turnaround)

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return True

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{self.baudrate} Bd"


class Dlt645SerialSettings(_Line):
    """A serial port of this gateway."""

    type: Literal["dlt645_serial"] = Field(description="What is spoken on the bus.")
    device: Path = Field(description="The port; /dev/serial/by-id/… keeps its name when others are plugged in.")


class Dlt645TcpSettings(_Line):
    """A serial server that passes characters through."""

    type: Literal["dlt645_tcp"] = Field(description="What is spoken on the bus.")
    host: Annotated[str, Field(min_length=1, description="Name or address of the serial server.")]
    port: int = Field(ge=1, le=65535, description="TCP port of the serial server; there is no usual one.")


Dlt645BusSettings = Dlt645SerialSettings | Dlt645TcpSettings
