"""How a DLMS line is connected and how its meters are spoken to, as gateway.yaml says it.

    dlms_tcp       the wrapper on TCP (port 4059): one meter, or a concentrator with many
    dlms_hdlc_tcp  HDLC frames through a serial server on TCP: a line of meters
    dlms_hdlc      HDLC frames on a serial port of this gateway

Protection is asked of every meter: ``gmac`` with authentication and encryption unless a person writes less.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from metering.settings import Duration, Identifier, Settings, TimeZone


def _title(text: str) -> str:
    if len(text) != 16 or not all(letter in "0123456789abcdefABCDEF" for letter in text):  # noqa: PLR2004 - digits
        raise PydanticCustomError("system_title", "not a system title")
    return text.lower()


_CHARACTER_BITS: Final = 10

SystemTitle = Annotated[str, AfterValidator(_title)]
"""Eight octets as hexadecimal digits; the first three are the maker's letters."""

SecretName = Annotated[str, Field(min_length=1, max_length=4096)]
"""A file that only its owner may read, or ``credential:NAME`` for a credential of systemd."""


class _DlmsBus(Settings):
    """What every DLMS line has."""

    id: Identifier = Field(description="Name of the bus.")
    timeout: Duration = Field(3.0, ge=0.05, le=60, description="Longest silence before and inside an answer.")
    turnaround: Duration = Field(
        0.05, ge=0.001, le=10, description="How long an answer usually takes; the plan is priced with it."
    )
    system_title: SystemTitle | None = Field(
        None, description="Our name towards meters with keys: 16 hexadecimal digits, for this gateway alone."
    )
    counters: Path = Field(
        Path("/var/lib/wattline/counters"),
        description="Folder of the invocation counters; it must never be rolled back.",
    )

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return False

    @property
    def character_s(self) -> float:
        """How long one character takes; nothing on a network."""
        return 0.0


class DlmsTcpSettings(_DlmsBus):
    """Meters that speak the wrapper on TCP."""

    type: Literal["dlms_tcp"] = Field(description="What is spoken on the bus.")
    host: str = Field(min_length=1, description="Name or address of the endpoint.")
    port: int = Field(4059, ge=1, le=65535, description="TCP port of the endpoint.")

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{1 / self.turnaround:.0f} requests/s"


class _DlmsLine(_DlmsBus):
    """A line of meters that speak HDLC: eight bits, no parity."""

    baudrate: int = Field(9600, ge=300, le=4_000_000, description="Bits a second on the line.")
    information: int = Field(128, ge=32, le=2030, description="Octets of information in one frame, at most.")

    @property
    def on_a_line(self) -> bool:
        """Whether the meters hang on a serial line."""
        return True

    @property
    def character_s(self) -> float:
        """How long one character takes."""
        return _CHARACTER_BITS / self.baudrate

    @property
    def speed(self) -> str:
        """What limits the bus, for people."""
        return f"{self.baudrate} Bd"


class DlmsHdlcTcpSettings(_DlmsLine):
    """The line is behind a serial server that passes its characters on."""

    type: Literal["dlms_hdlc_tcp"] = Field(description="What is spoken on the bus.")
    host: str = Field(min_length=1, description="Name or address of the serial server.")
    port: int = Field(ge=1, le=65535, description="TCP port of the serial server.")


class DlmsHdlcSettings(_DlmsLine):
    """The line is a serial port of this gateway."""

    type: Literal["dlms_hdlc"] = Field(description="What is spoken on the bus.")
    device: Path = Field(description="The port; /dev/serial/by-id/… keeps its name when others are plugged in.")
    opening: Literal["direct", "mode_e"] = Field(
        "direct", description="mode_e: an optical head or current loop that begins at 300 Bd (IEC 62056-21 mode E)."
    )

    @property
    def parity(self) -> Literal["none"]:
        """HDLC has none."""
        return "none"

    @property
    def stop_bits(self) -> Literal[1]:
        """HDLC has one."""
        return 1


DlmsBusSettings = DlmsTcpSettings | DlmsHdlcTcpSettings | DlmsHdlcSettings


class DlmsAccessSettings(Settings):
    """How one meter is addressed, and how both sides prove who they are."""

    server: int = Field(1, ge=1, le=0x3FFF, description="Logical device: wrapper port, or upper HDLC address.")
    physical: int | None = Field(None, ge=0, le=0x3FFF, description="Lower HDLC address, on a line of several meters.")
    address_octets: Literal[1, 2, 4] = Field(1, description="Length of the HDLC address.")
    client: int = Field(
        1, ge=1, le=127, description="Client address that the meter has given us; 16 is the public one."
    )
    security: Literal["gmac", "low", "none"] = Field(
        "gmac", description="gmac: keys on both sides; low: a password; none: everyone may read the meter."
    )
    protection: Literal["both", "authentication", "encryption"] = Field(
        "both", description="What is done to every message with gmac; encryption alone does not notice changes."
    )
    suite: int = Field(0, ge=0, le=2, description="Security suite of the meter; only 0 (AES-GCM-128) is supported.")
    encryption_key_file: SecretName | None = Field(None, description="File of the global unicast encryption key.")
    authentication_key_file: SecretName | None = Field(None, description="File of the authentication key.")
    password_file: SecretName | None = Field(None, description="File of the password, for low.")
    system_title: SystemTitle | None = Field(None, description="Of the meter; absent: whoever knows the keys.")
    push_identity: str | None = Field(
        None, min_length=1, max_length=64, description="On a dlms_push bus, in the clear: what the meter calls itself."
    )
    dedicated_key: bool = Field(False, description="Whether to agree on a fresh key for every association.")
    timezone: TimeZone = Field("Asia/Shanghai", description="Local time of the meter, if it does not say it.")
    deviation: Literal["utc_minus_local", "local_minus_utc"] = Field(
        "utc_minus_local", description="How the meter counts its deviation; the standard says utc_minus_local."
    )

    @property
    def protected(self) -> bool:
        """Whether a changed or forged answer would be noticed."""
        return self.security == "gmac" and self.protection != "encryption"
