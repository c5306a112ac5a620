"""Keys and passwords: read from files of their owner only, and never shown again.

A setting names a file, or ``credential:NAME`` for a credential of systemd (``LoadCredential=``), which stands in
``$CREDENTIALS_DIRECTORY``. Keys are sixteen octets in hex; a password is text, or hex behind ``0x``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from metering.errors import StopAndFix
from metering.secret_file import read_secret

KEY_LENGTH: Final = 16
_CREDENTIAL: Final = "credential:"


class Secret:
    """Octets that no ``repr``, log or message shows."""

    __slots__ = ("octets",)

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)


def read_key(name: str) -> Secret:
    """The key that a setting names.

    Raises:
        StopAndFix: the file is missing, open to others, or holds no key.
    """
    path = place_of(name)
    octets = _hex(read_secret(path))
    if octets is None or len(octets) != KEY_LENGTH:
        raise StopAndFix(f"{path}: a key is {2 * KEY_LENGTH} hexadecimal digits")
    return Secret(octets)


def read_password(name: str) -> Secret:
    """The password that a setting names.

    Raises:
        StopAndFix: the file is missing, open to others, or holds no password.
    """
    path = place_of(name)
    text = read_secret(path)
    if not text.startswith("0x"):
        return Secret(text.encode())
    octets = _hex(text[2:])
    if not octets:
        raise StopAndFix(f"{path}: what follows 0x must be hexadecimal digits")
    return Secret(octets)


def from_folder(name: str, folder: Path) -> str:
    """What a setting names, seen from the folder of the file that holds the setting."""
    return name if is_credential(name) else str(folder / name)


def is_credential(name: str) -> bool:
    """Whether systemd passes it."""
    return name.startswith(_CREDENTIAL)


def place_of(name: str) -> Path:
    """Where the secret stands.

    Raises:
        StopAndFix: it is a credential, and systemd has passed none.
    """
    if not is_credential(name):
        return Path(name)
    passed = os.environ.get("CREDENTIALS_DIRECTORY")
    if passed is None:
        raise StopAndFix(f"{name}: systemd has passed no credentials → LoadCredential= in the unit file")
    return Path(passed) / Path(name.removeprefix(_CREDENTIAL)).name


def _hex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
