"""Suite 0 from the meter's side (Green Book 9.2.3): AES-GCM-128 with tags of twelve octets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

TAG: Final = 12
AUTHENTICATED: Final = 0x10
ENCRYPTED: Final = 0x20


class BadSeal(Exception):  # noqa: N818
    """The tag does not fit."""


@dataclass(frozen=True)
class MeterKeys:
    """What the meter and its readers share."""

    encryption: bytes
    authentication: bytes


def sealed(control: int, key: bytes, authentication: bytes, nonce: bytes, plaintext: bytes) -> bytes:
    """Ciphertext (or plaintext, where only a tag is wanted) and tag."""
    encryptor = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
    associated = bytes([control]) + authentication
    if control & ENCRYPTED:
        if control & AUTHENTICATED:
            encryptor.authenticate_additional_data(associated)
        body = encryptor.update(plaintext) + encryptor.finalize()
    else:
        encryptor.authenticate_additional_data(associated + plaintext)
        body = plaintext + encryptor.finalize()
    return body + (encryptor.tag[:TAG] if control & AUTHENTICATED else b"")


def unsealed(control: int, key: bytes, authentication: bytes, nonce: bytes, body: bytes) -> bytes:
    """What was sealed.

    Raises:
        BadSeal: the tag does not fit.
    """
    if not control & AUTHENTICATED:
        return sealed(control, key, authentication, nonce, body)  # a stream cipher is its own inverse
    content, tag = body[:-TAG], body[-TAG:]
    if len(tag) != TAG:
        raise BadSeal
    decryptor = Cipher(algorithms.AES(key), modes.GCM(nonce, tag, min_tag_length=TAG)).decryptor()
    associated = bytes([control]) + authentication
    decryptor.authenticate_additional_data(associated if control & ENCRYPTED else associated + content)
    plaintext = decryptor.update(content) if control & ENCRYPTED else content
    try:
        decryptor.finalize()
    except InvalidTag:
        raise BadSeal from None
    return plaintext
