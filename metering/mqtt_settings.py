"""Where the broker is and how to speak to it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from metering.settings import Duration, Settings


class MqttSettings(Settings):
    """Where the broker is and how to speak to it; the same keys on the edge and at the centre."""

    host: str = Field("127.0.0.1", min_length=1, description="Name or address of the MQTT broker.")
    port: int = Field(1883, ge=1, le=65535, description="TCP port of the broker.")
    protocol: Literal["5", "3.1.1"] = Field("5", description="MQTT version; 3.1.1 only for brokers without 5.")
    prefix: str = Field(
        "wattline",
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        description="What every topic starts with.",
    )
    username: str | None = Field(None, description="User name, if the broker asks for one.")
    password_file: Path | None = Field(None, description="File with the password, readable by its owner only.")
    ca_file: Path | None = Field(None, description="CA of the broker's certificate; giving it turns TLS on.")
    certificate_file: Path | None = Field(None, description="Client certificate for mutual TLS.")
    key_file: Path | None = Field(None, description="Key of the client certificate.")
    keepalive: Duration = Field(30.0, gt=0, le=3600, description="MQTT keep-alive interval.")
    allow_plaintext: bool = Field(False, description="Speak without TLS to a broker that is not on this machine.")

    @property
    def unprotected(self) -> bool:
        """Whether readings would leave this machine in the clear without anyone having asked for it."""
        return self.ca_file is None and not is_local(self.host) and not self.allow_plaintext


def is_local(host: str) -> bool:
    """Whether a host is this machine: then nothing leaves it in the clear."""
    return host in ("localhost", "::1") or host.startswith("127.")
