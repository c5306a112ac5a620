"""What the DLMS meters of a park share with their gateway: keys or passwords, drawn from the seed of the park.

Simulated secrets protect nothing, but they are kept as real ones have to be: in files that only their owner may read,
and never in YAML.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from zlib import crc32

from simulators.dlms.device import PUBLIC_CLIENT, Access, LogicalDevice
from simulators.dlms.objects import CosemObject
from simulators.dlms.seal import AUTHENTICATED, ENCRYPTED, MeterKeys
from simulators.dlms.session import public_access
from simulators.park_settings import Security

CLIENT: Final = 1
"""The address under which the gateway may read everything."""

FOLDER: Final = "keys"

_FILES: Final[dict[Security, tuple[str, ...]]] = {
    "gmac": ("encryption_key", "authentication_key"),
    "low": ("password",),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Secrets:
    """Of one meter."""

    title: bytes  # its system title, eight octets; no secret
    encryption_key: bytes
    authentication_key: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Secrets({self.title.hex()})"


def secrets_of(seed: int, meter: str) -> Secrets:
    """The same for ever for a seed and a name."""

    def drawn(what: str) -> bytes:
        return sha256(f"{seed}/{meter}/{what}".encode()).digest()[:16]

    title = b"SIM" + crc32(meter.encode()).to_bytes(5, "big")
    return Secrets(title, drawn("encryption"), drawn("authentication"), drawn("password").hex()[:8].encode())


def locked(objects: Iterable[CosemObject], security: Security, secrets: Secrets, counted: int) -> LogicalDevice:
    """A meter with these objects that opens for ``CLIENT`` alone, and to everybody for what is everybody's.

    Args:
        objects: what it offers.
        security: how it wants to be asked.
        secrets: what it shares with its reader.
        counted: the invocation counter of its last message.
    """
    accesses = {
        "gmac": Access("gmac", control=AUTHENTICATED | ENCRYPTED),
        "low": Access("low", secrets.password),
        "none": Access(),
    }
    return LogicalDevice.of(
        objects,
        {PUBLIC_CLIENT: public_access(), CLIENT: accesses[security]},
        title=secrets.title,
        keys=MeterKeys(secrets.encryption_key, secrets.authentication_key),
        sent=counted,
    )


def files_of(meter: str, security: Security) -> dict[str, str]:
    """The keys of gateway.yaml that name the secrets of a meter, and their files beside it."""
    return {f"{secret}_file": f"{FOLDER}/{meter}.{secret}" for secret in _FILES[security]}


def write_secrets(folder: Path, seed: int, meter: str, security: Security) -> None:
    """Write those files anew, readable by their owner only.

    Raises:
        OSError: the folder cannot be written to.
    """
    secrets = secrets_of(seed, meter)
    text = {
        "encryption_key": secrets.encryption_key.hex(),
        "authentication_key": secrets.authentication_key.hex(),
        "password": secrets.password.decode(),
    }
    (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
    for secret in _FILES[security]:
        path = folder / FOLDER / f"{meter}.{secret}"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text[secret])
