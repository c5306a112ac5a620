"""The wall around ``cryptography``: AES-GCM as security suite 0 of DLMS uses it, with tags of twelve octets.

Only octets pass this wall. A tag that does not fit is ``Untrusted``; no plaintext is given out before it was checked.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from edge_agent.drivers.dlms.errors import Breach, Untrusted

TAG_LENGTH: Final = 12


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Ciphertext and tag."""
    return AESGCM(key).encrypt(nonce, plaintext, associated)[: len(plaintext) + TAG_LENGTH]


def unseal(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The plaintext, if the tag fits.

    Raises:
        Untrusted: it does not.
    """
    if len(sealed) < TAG_LENGTH:
        raise Untrusted(Breach.FORGED, "no tag")
    tag = sealed[-TAG_LENGTH:]
    decryptor = Cipher(AES(key), GCM(nonce, tag, min_tag_length=TAG_LENGTH)).decryptor()
    decryptor.authenticate_additional_data(associated)
    plaintext = decryptor.update(sealed[:-TAG_LENGTH])
    try:
        return plaintext + decryptor.finalize()
    except InvalidTag:
        raise Untrusted(Breach.FORGED, "the tag does not fit") from None


def tag_of(key: bytes, nonce: bytes, associated: bytes) -> bytes:
    """GMAC: the tag over octets that stay readable."""
    return AESGCM(key).encrypt(nonce, b"", associated)[:TAG_LENGTH]


def keystream(key: bytes, nonce: bytes, octets: bytes) -> bytes:
    """Encryption without authentication, which is its own inverse."""
    return AESGCM(key).encrypt(nonce, octets, None)[: len(octets)]
