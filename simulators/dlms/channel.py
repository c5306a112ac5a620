"""What a meter seals its side of one association with, and what it refuses to unseal.

The nonce holds the sender's system title, so the client's is learnt first. Counters of a client's messages must rise,
over all its associations under the meter's keys, and within one under a dedicated key. A proof of identity is older
than the message that carries it and shares no counter with it.
"""

from __future__ import annotations

import hmac
from io import BytesIO
from typing import Final

from simulators.dlms.data import BadRequest, read_length, read_octets
from simulators.dlms.device import LogicalDevice
from simulators.dlms.seal import AUTHENTICATED, BadSeal, sealed, unsealed

_PROOF: Final = 17  # control, counter, tag
_PLAIN: Final = (0xC0, 0xC1, 0xC3)
_GENERAL: Final = (219, 220)
_SPECIAL: Final = (0xC8, 0xC9, 0xCB, 0xD0, 0xD1, 0xD3)


def is_dedicated(tag: int) -> bool:
    """Whether a message is sealed with the key of the association."""
    return tag == 220 or 0xD0 <= tag <= 0xD3  # noqa: PLR2004


class Channel:
    """Keys and counters of one association."""

    def __init__(self, device: LogicalDevice, control: int, client_title: bytes) -> None:
        """Take what both sides agreed on."""
        self.control = control
        self.dedicated = b""
        self._device = device
        self._title = client_title
        self._dedicated_heard = -1
        self._heard_before = -1

    def opened(self, apdu: bytes) -> tuple[bytes | None, int]:
        """The request and its outer tag if it was sealed; no request if its counter went back."""
        tag = apdu[0] if apdu else 0
        if tag in _PLAIN:
            return apdu, 0
        stream = BytesIO(apdu[1:])
        if tag in _GENERAL:
            self._title = read_octets(stream, read_length(stream)) or self._title
        elif tag not in _SPECIAL:
            raise BadRequest(f"tag {tag}")
        return self.unseal(read_octets(stream, read_length(stream)), dedicated=is_dedicated(tag)), tag

    def unseal(self, body: bytes, *, dedicated: bool) -> bytes | None:
        """What a body holds; nothing if its counter went back.

        Raises:
            BadSeal: the tag does not fit, or another protection was agreed.
        """
        keys = self._device.keys
        if body[:1] != bytes([self.control]):
            raise BadSeal
        key = self.dedicated if dedicated else keys.encryption
        plain = unsealed(self.control, key, keys.authentication, self._title + body[1:5], body[5:])
        counter = int.from_bytes(body[1:5], "big")
        if counter <= (self._dedicated_heard if dedicated else self._device.heard):
            return None
        if dedicated:
            self._dedicated_heard = counter
        else:
            self._heard_before, self._device.heard = self._device.heard, counter
        return plain

    def seal(self, plain: bytes, *, dedicated: bool, title: bytes = b"", control: int = 0) -> bytes:
        """Control, counter, sealed octets."""
        keys = self._device.keys
        control = control or self.control
        counter = self._device.next_counter().to_bytes(4, "big")
        key = self.dedicated if dedicated else keys.encryption
        nonce = (title or self._device.title) + counter
        return bytes([control]) + counter + sealed(control, key, keys.authentication, nonce, plain)

    def knows_us(self, proof: object, challenge: bytes) -> bool:
        """Whether a client has solved our challenge, with a counter of its own."""
        if not isinstance(proof, bytes) or len(proof) != _PROOF:
            return False
        counter = int.from_bytes(proof[1:5], "big")
        expected = self._gmac(self._title + proof[1:5], challenge)
        fresh = self._heard_before < counter and counter != self._device.heard
        return fresh and hmac.compare_digest(proof[5:], expected)

    def prove(self, challenge: bytes) -> bytes:
        """Solve the client's challenge."""
        mine = self._device.next_counter().to_bytes(4, "big")
        return bytes([AUTHENTICATED]) + mine + self._gmac(self._device.title + mine, challenge)

    def _gmac(self, nonce: bytes, challenge: bytes) -> bytes:
        keys = self._device.keys
        return sealed(AUTHENTICATED, keys.encryption, keys.authentication, nonce, challenge)[len(challenge) :]
