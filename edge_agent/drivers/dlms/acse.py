"""Opening and ending an association: AARQ, AARE, RLRQ, RLRE (IEC 62056-53, ACSE), in BER.

Everything here arrives before anybody has proved who they are, so the answer is read field by field within its
length; fields that we do not use are passed over whole, a field that stands twice is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import encode_length
from edge_agent.drivers.dlms.cursor import Cursor
from edge_agent.drivers.dlms.errors import Malformed

AARE: Final = 0x61
RLRE: Final = 0x63
RELEASE_REQUEST: Final = bytes.fromhex("6203800100")

_AARQ: Final = 0x60
_DLMS_UA: Final = bytes.fromhex("6085740508")  # joint-iso-ccitt 16 756 5 8
_OBJECT_ID: Final = 0x06
_OCTET_STRING: Final = 0x04
_INTEGER: Final = 0x02
_LONGEST: Final = 65_535


class Mechanism(IntEnum):
    """How the client proves itself; numbers of the standard. Mechanism 2 shows the secret and is not supported."""

    NONE = 0
    LOW = 1  # a password, readable on the line unless the message is ciphered
    GMAC = 5


class Context(IntEnum):
    """Application context: logical names, without and with ciphering."""

    PLAIN = 1
    CIPHERED = 3


@dataclass(frozen=True, slots=True, repr=False)
class AssociationRequest:
    """AARQ. Not shown in full: the authentication value may be a password."""

    context: Context
    mechanism: Mechanism
    user_information: bytes  # the initiate request, ciphered or not
    system_title: bytes = b""
    authentication_value: bytes = b""  # password or challenge

    def encode(self) -> bytes:
        """The whole message."""
        content = _field(0xA1, _field(_OBJECT_ID, _DLMS_UA + bytes((1, self.context))))
        if self.system_title:
            content += _field(0xA6, _field(_OCTET_STRING, self.system_title))
        if self.mechanism is not Mechanism.NONE:
            content += _field(0x8A, b"\x07\x80") + _field(0x8B, _DLMS_UA + bytes((2, self.mechanism)))
            content += _field(0xAC, _field(0x80, self.authentication_value))
        content += _field(0xBE, _field(_OCTET_STRING, self.user_information))
        return _field(_AARQ, content)


class AssociationResponse(NamedTuple):
    """AARE, as far as we need it."""

    result: int  # 0 = accepted
    diagnostic: int
    context: int | None = None
    mechanism: int | None = None
    system_title: bytes = b""
    challenge: bytes = b""
    user_information: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether there is an association now, perhaps with the authentication still to come."""
        return self.result == 0

    @property
    def reason(self) -> str:
        """Why not."""
        return _DIAGNOSTICS.get(self.diagnostic, f"diagnostic {self.diagnostic}")


_DIAGNOSTICS: Final = {
    1: "no reason given",
    2: "application context not supported",
    3: "calling title not recognised",
    11: "authentication mechanism not recognised",
    12: "authentication mechanism required",
    13: "authentication failed",
    14: "authentication required",
}


def parse_association_response(octets: bytes) -> AssociationResponse:
    """What the meter said to our request.

    Raises:
        Malformed: this is no AARE.
    """
    fields = _fields(octets, AARE)
    return AssociationResponse(
        result=_number(fields.get(0xA2), "result"),
        diagnostic=_number(_inner(fields.get(0xA3)), "diagnostic"),
        context=_object(fields.get(0xA1), 1),
        mechanism=_mechanism(fields.get(0x89)),
        system_title=_inside(fields.get(0xA4), _OCTET_STRING),
        challenge=_inside(fields.get(0xAA), 0x80),
        user_information=_inside(fields.get(0xBE), _OCTET_STRING),
    )


def is_release_response(octets: bytes) -> bool:
    """Whether the meter has let the association go."""
    return octets[:1] == bytes((RLRE,))


def _field(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + encode_length(len(content)) + content


def _fields(octets: bytes, tag: int) -> dict[int, bytes]:
    """The fields inside a message that begins with ``tag``."""
    if len(octets) > _LONGEST:
        raise Malformed(f"{len(octets)} octets")
    outer = Cursor(octets)
    if outer.octet() != tag:
        raise Malformed(f"a message that begins with {octets[:1].hex()} in place of {tag:02x}")
    inside = Cursor(outer.string())
    outer.end()
    found: dict[int, bytes] = {}
    while inside.left:
        here = inside.octet()
        if here in found:
            raise Malformed(f"field {here:#04x} stands twice")
        found[here] = inside.string()
    return found


def _inside(content: bytes | None, tag: int) -> bytes:
    """The only field inside another one; nothing where the outer one is missing."""
    if content is None:
        return b""
    cursor = Cursor(content)
    if cursor.octet() != tag:
        raise Malformed(f"field {content[:1].hex()} in place of {tag:02x}")
    found = cursor.string()
    cursor.end()
    return found


def _inner(content: bytes | None) -> bytes | None:
    """The diagnostic stands inside a choice: of the user (A1) or of the provider (A2)."""
    if content is None or content[:1] not in (b"\xa1", b"\xa2"):
        return None
    return _inside(content, content[0])


def _number(content: bytes | None, what: str) -> int:
    number = _inside(content, _INTEGER)
    if len(number) != 1:
        raise Malformed(f"no {what}")
    return number[0]


def _object(content: bytes | None, arc: int) -> int | None:
    return None if content is None else _last_arc(_inside(content, _OBJECT_ID), arc)


def _mechanism(content: bytes | None) -> int | None:
    return None if content is None else _last_arc(content, 2)


def _last_arc(name: bytes, arc: int) -> int:
    start = _DLMS_UA + bytes((arc,))
    if len(name) != len(start) + 1 or not name.startswith(start):
        raise Malformed(f"object identifier {name.hex()}")
    return name[-1]
