"""Security suite 0 (AES-GCM-128): what goes out is sealed, what comes in is checked before anything is believed.

    sealed message   control (1) | counter (4) | ciphertext | tag (12)
    nonce            system title of the sender (8) | counter (4)
    associated       control | authentication key [ | plaintext, where it stays readable ]

An answer is checked in this order, and only then does anything of ours change:

    it is sealed at all; by the key that was agreed; with the control octet that was agreed; by the system title that
    was agreed; its tag fits; its counter is higher than every one before

Every refusal is ``Untrusted`` with the name of the breach. Suites 1 and 2 (elliptic curves) are not supported.
The counter of what we send comes from outside (``counter_store``), a fresh one for every seal *and* every GMAC.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from enum import IntEnum
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import encode_length
from edge_agent.drivers.dlms.cursor import Cursor
from edge_agent.drivers.dlms.errors import Breach, Declined, Malformed, Untrusted
from edge_agent.drivers.dlms.gcm import TAG_LENGTH, keystream, seal, tag_of, unseal
from edge_agent.drivers.dlms.keys import Secret

TITLE_LENGTH: Final = 8
CHALLENGE_LENGTH: Final = 32
_SHORTEST_CHALLENGE: Final = 8  # of the meter, Green Book 9.2.2.2.2
_LONGEST_CHALLENGE: Final = 64
_SUITE: Final = 0x0F
_INITIATE_REQUEST, _INITIATE_RESPONSE = 0x01, 0x08

GENERAL_GLOBAL: Final = 219
GENERAL_DEDICATED: Final = 220
_GLOBAL: Final = {0x01: 0x21, 0x08: 0x28, 0xC0: 0xC8, 0xC1: 0xC9, 0xC3: 0xCB, 0xC4: 0xCC, 0xC5: 0xCD, 0xC7: 0xCF}
_DEDICATED: Final = {0xC0: 0xD0, 0xC1: 0xD1, 0xC3: 0xD3, 0xC4: 0xD4, 0xC5: 0xD5, 0xC7: 0xD7}
_PLAIN_OF_GLOBAL: Final = {sealed: plain for plain, sealed in _GLOBAL.items()}
_PLAIN_OF_DEDICATED: Final = {sealed: plain for plain, sealed in _DEDICATED.items()}
_READABLE: Final = frozenset((0x0E, 0xD8))  # a meter that cannot decipher says so without a seal


class Protection(IntEnum):
    """The security control octet of suite 0."""

    AUTHENTICATED = 0x10
    ENCRYPTED = 0x20  # changed octets are not noticed: only for meters that know nothing better
    BOTH = 0x30


class Keys(NamedTuple):
    """The keys of one meter."""

    encryption: Secret
    authentication: Secret


class SecurityContext:
    """What one association seals and unseals with. Make a new one for every association."""

    def __init__(
        self, title: bytes, keys: Keys, protection: Protection, next_counter: Callable[[], int], heard: int = -1
    ) -> None:
        """Take our side of the matter.

        Args:
            title: our system title, eight octets, of this gateway alone.
            keys: of this meter.
            protection: what is agreed with this meter.
            next_counter: a number never used before, at each call.
            heard: the highest counter that this meter has used.
        """
        if len(title) != TITLE_LENGTH:
            raise ValueError(f"a system title of {len(title)} octets")
        self.title = title
        self.protection = protection
        self.heard = heard
        self.general = False  # whether the meter takes the general tags
        self._keys = keys
        self._dedicated: Secret | None = None
        self._dedicated_heard = -1
        self._heard_before = heard  # the message that carries a proof was sealed after it
        self._next_counter = next_counter
        self._peer = b""

    @property
    def overhead(self) -> int:
        """Octets that a seal adds to a message at most."""
        return 1 + 1 + TITLE_LENGTH + 5 + 5 + TAG_LENGTH

    def use_dedicated(self, key: Secret) -> None:
        """Seal with the key of this association from now on."""
        self._dedicated = key

    def meet(self, title: bytes, expected: bytes = b"") -> None:
        """Learn who the meter is.

        Raises:
            Untrusted: it has no title, another one than expected, or ours.
        """
        if len(title) != TITLE_LENGTH or title == self.title or (expected and title != expected):
            raise Untrusted(Breach.WRONG_TITLE, title.hex() or "none")
        self._peer = title

    def protect(self, apdu: bytes) -> bytes:
        """Seal one message."""
        dedicated = self._dedicated is not None and apdu[0] in _DEDICATED
        key = self._dedicated if dedicated and self._dedicated is not None else self._keys.encryption
        body = self._seal(key, apdu)
        body = encode_length(len(body)) + body
        if apdu[0] == _INITIATE_REQUEST or not self.general:
            return bytes(((_DEDICATED if dedicated else _GLOBAL)[apdu[0]],)) + body
        tag = GENERAL_DEDICATED if dedicated else GENERAL_GLOBAL
        return bytes((tag, TITLE_LENGTH)) + self.title + body

    def unprotect(self, apdu: bytes) -> bytes:
        """Check and open one message.

        Raises:
            Untrusted: it must not be believed; nothing has changed.
            Malformed: it is no message.
        """
        cursor = Cursor(apdu)
        tag = cursor.octet()
        if tag in _READABLE:
            return apdu
        dedicated = tag == GENERAL_DEDICATED or tag in _PLAIN_OF_DEDICATED
        if not dedicated and tag != GENERAL_GLOBAL and tag not in _PLAIN_OF_GLOBAL:
            raise Untrusted(Breach.PLAINTEXT, f"message {tag:#04x}")
        if tag in (GENERAL_GLOBAL, GENERAL_DEDICATED):
            title = cursor.string()
            if title and title != self._peer:
                raise Untrusted(Breach.WRONG_TITLE, title.hex())
        body = cursor.string()
        cursor.end()
        found = self._unseal(body, dedicated=dedicated, initiate=tag == _GLOBAL[_INITIATE_RESPONSE])
        promised = (_PLAIN_OF_DEDICATED if dedicated else _PLAIN_OF_GLOBAL).get(tag)
        if not found or (promised is not None and found[0] != promised):
            raise Malformed("another message inside the seal than outside")
        return found

    def challenge_reply(self, challenge: bytes) -> bytes:
        """Prove to the meter that we know the keys: control, counter, tag."""
        control = bytes((Protection.AUTHENTICATED,))
        counter = self._next_counter().to_bytes(4, "big")
        return control + counter + self._gmac(self.title + counter, control, challenge)

    def check_reply(self, reply: object, challenge: bytes) -> None:
        """Whether the meter knows the keys.

        Raises:
            Untrusted: it could not prove it; nothing has changed.
        """
        if not isinstance(reply, bytes) or len(reply) != 5 + TAG_LENGTH or reply[0] != Protection.AUTHENTICATED:
            raise Untrusted(Breach.FAILED_CHALLENGE, "no proof")
        counter = int.from_bytes(reply[1:5], "big")
        expected = self._gmac(self._peer + reply[1:5], reply[:1], challenge)
        if not hmac.compare_digest(reply[5:], expected):
            raise Untrusted(Breach.FAILED_CHALLENGE, "the tag does not fit")
        if counter <= self._heard_before:
            raise Untrusted(Breach.REPLAY, f"counter {counter}, heard {self._heard_before}")
        self.heard = max(self.heard, counter)

    def _seal(self, key: Secret, plaintext: bytes) -> bytes:
        control = bytes((self.protection,))
        counter = self._next_counter().to_bytes(4, "big")
        nonce = self.title + counter
        associated = control + self._keys.authentication.octets
        if self.protection is Protection.BOTH:
            sealed = seal(key.octets, nonce, plaintext, associated)
        elif self.protection is Protection.AUTHENTICATED:
            sealed = plaintext + tag_of(key.octets, nonce, associated + plaintext)
        else:
            sealed = keystream(key.octets, nonce, plaintext)
        return control + counter + sealed

    def _unseal(self, body: bytes, *, dedicated: bool, initiate: bool) -> bytes:
        if dedicated != (self._dedicated is not None and not initiate):
            raise Untrusted(Breach.DOWNGRADE, "sealed with another key than agreed")
        key = self._dedicated if dedicated and self._dedicated is not None else self._keys.encryption
        cursor = Cursor(body)
        control = cursor.octet()
        if control != self.protection:
            suite = f", suite {control & _SUITE}" if control & _SUITE else ""
            raise Untrusted(Breach.DOWNGRADE, f"control {control:#04x}, agreed {self.protection:#04x}{suite}")
        counter = cursor.uint(4)
        plaintext = self._opened(key.octets, self._peer + body[1:5], body[:1], cursor.rest())
        heard = self._dedicated_heard if dedicated else self.heard
        if counter <= heard:
            raise Untrusted(Breach.REPLAY, f"counter {counter}, heard {heard}")
        if dedicated:
            self._dedicated_heard = counter
        else:
            self._heard_before, self.heard = self.heard, counter
        return plaintext

    def _opened(self, key: bytes, nonce: bytes, control: bytes, sealed: bytes) -> bytes:
        associated = control + self._keys.authentication.octets
        if self.protection is Protection.BOTH:
            return unseal(key, nonce, sealed, associated)
        if self.protection is Protection.ENCRYPTED:
            return keystream(key, nonce, sealed)
        plaintext = sealed[:-TAG_LENGTH]
        if not hmac.compare_digest(sealed[-TAG_LENGTH:], tag_of(key, nonce, associated + plaintext)):
            raise Untrusted(Breach.FORGED, "the tag does not fit")
        return plaintext

    def _gmac(self, nonce: bytes, control: bytes, challenge: bytes) -> bytes:
        return tag_of(self._keys.encryption.octets, nonce, control + self._keys.authentication.octets + challenge)


def check_challenge(theirs: bytes, ours: bytes) -> None:
    """Whether the meter's challenge is one.

    Raises:
        Declined: it is too short or too long to prove anything.
        Untrusted: it is ours, sent back to let us solve it ourselves.
    """
    if not _SHORTEST_CHALLENGE <= len(theirs) <= _LONGEST_CHALLENGE:
        raise Declined(f"a challenge of {len(theirs)} octets")
    if theirs == ours:
        raise Untrusted(Breach.FAILED_CHALLENGE, "our own challenge came back")
