"""How a Modbus bus is connected, as gateway.yaml says it.

    modbus_tcp      Modbus TCP: one meter, or a serial server that translates for the line behind it
    modbus_tls      Modbus/TCP Security: the same inside TLS, never in the clear
    modbus_rtu_tcp  a serial server that passes the characters of its line on as they are
    modbus_rtu      a serial port of this gateway

Where characters cost time, the time-out is never shorter than what the line needs for the answer: a read of 125
registers at 2400 Bd takes 1.12 s, whatever ``timeout`` says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from edge_agent.drivers.modbus.pace import Pace
from metering.settings import Duration, Identifier, Settings

HIGHEST_LINE_UNIT: Final = 247
"""Highest unit address on a serial line (MODBUS over serial line V1.02, 2.2); 0 is a broadcast."""

_START_AND_DATA_BITS: Final = 9
_STANDARD_BITS: Final = 11  # of a character, parity or second stop bit included (V1.02, 2.5.1)

Baudrate = Annotated[int, Field(ge=300, le=4_000_000)]
Host = Annotated[str, Field(min_length=1, description="Name or address of the endpoint.")]
Port = Annotated[int, Field(ge=1, le=65535, description="TCP port of the endpoint.")]


class _Bus(Settings):
    """What every bus has."""

    id: Identifier = Field(description="Name of the bus.")
    timeout: Duration = Field(1.0, ge=0.05, le=60, description="How long one answer may take.")
    turnaround: Duration = Field(
        0.02, ge=0.001, le=10, description="How long an answer usually takes; the plan is priced with it."
    )

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        return Pace.network(self.turnaround)

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return False

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{1 / self.turnaround:.0f} requests/s"

    def timeout_s(self, registers: int) -> float:
        """How long to wait for the answer to one read."""
        return max(self.timeout, self.pace.read_s(registers) + self.turnaround)


class _SerialLine(_Bus):
    """A line whose characters pass through as they are."""

    baudrate: Baudrate = Field(9600, description="Bits a second on the line.")
    parity: Literal["none", "even", "odd"] = Field(
        "none", description="The Modbus standard says even; most meters sold in China leave the works with none."
    )
    stop_bits: Literal[1, 2] = Field(1, description="The standard asks for 2 without parity; few meters do.")
    quiet: Duration = Field(
        0.0, ge=0, le=5, description="Silence before a request, for meters that need more than 3.5 characters."
    )

    @property
    def pace(self) -> Pace:
        """What time an exchange takes."""
        bits = _START_AND_DATA_BITS + (self.parity != "none") + self.stop_bits
        return Pace.serial(self.baudrate, bits, self.turnaround, self.quiet)

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{self.baudrate} Bd"

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return True


class ModbusTcpSettings(_Bus):
    """A Modbus TCP endpoint."""

    type: Literal["modbus_tcp"] = Field(description="What is spoken on the bus.")
    host: Host
    port: Port = 502
    baudrate: Baudrate | None = Field(
        None, description="Of the line behind a serial server that translates; absent: there is none."
    )

    @property
    def pace(self) -> Pace:
        """What time an exchange takes; how its characters are built only the serial server knows."""
        if self.baudrate is None:
            return Pace.network(self.turnaround)
        return Pace.serial(self.baudrate, _STANDARD_BITS, self.turnaround)

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{self.baudrate} Bd" if self.baudrate else super().speed

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return self.baudrate is not None


class ModbusTlsSettings(_Bus):
    """A Modbus/TCP Security endpoint (MB-TCP-Security V2.1)."""

    type: Literal["modbus_tls"] = Field(description="What is spoken on the bus.")
    host: Host
    port: Port = 802
    ca_file: Path = Field(description="Certificate of the authority that vouches for the endpoint, PEM.")
    certificate_file: Path | None = Field(None, description="Our own certificate, PEM; most endpoints want one.")
    key_file: Path | None = Field(None, description="Its key, PEM.")
    check_server_name: bool = Field(True, description="Whether the endpoint's certificate must carry 'host'.")


class ModbusRtuTcpSettings(_SerialLine):
    """A serial server that passes RTU frames on."""

    type: Literal["modbus_rtu_tcp"] = Field(description="What is spoken on the bus.")
    host: Host
    port: Port = 502


class ModbusRtuSettings(_SerialLine):
    """A serial port of this gateway."""

    type: Literal["modbus_rtu"] = Field(description="What is spoken on the bus.")
    device: Path = Field(description="The port; /dev/serial/by-id/… keeps its name when others are plugged in.")


ModbusBusSettings = ModbusTcpSettings | ModbusTlsSettings | ModbusRtuTcpSettings | ModbusRtuSettings
