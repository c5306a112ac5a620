"""What both sides agree to do in an association: services and sizes (xDLMS initiate).

We propose what we use and nothing else. What the meter grants is what we use; a meter that grants more than was
proposed is not believed about it.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import encode_length
from edge_agent.drivers.dlms.cursor import Cursor
from edge_agent.drivers.dlms.errors import Declined, Malformed

_VERSION: Final = 6
_REQUEST, _RESPONSE, _SERVICE_ERROR = 0x01, 0x08, 0x0E
_CONFORMANCE: Final = bytes.fromhex("5f1f0400")
_LOGICAL_NAMES: Final = 7
LARGEST_PDU: Final = 0xFFFF
_SMALLEST_PDU: Final = 64  # nothing useful fits in less


class Conformance(IntFlag):
    """The services we know; the first bit of the standard's string is the highest."""

    GENERAL_PROTECTION = 1 << 22
    BLOCK_TRANSFER_GET = 1 << 12
    BLOCK_TRANSFER_SET = 1 << 11
    MULTIPLE_REFERENCES = 1 << 9
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    ACTION = 1 << 0


READING: Final = (
    Conformance.GET
    | Conformance.BLOCK_TRANSFER_GET
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.SELECTIVE_ACCESS
    | Conformance.ACTION
)
"""What reading needs; ACTION is the answer to a challenge."""


class Granted(NamedTuple):
    """What the meter agreed to."""

    conformance: Conformance
    largest_request: int  # octets of one message to the meter, 0 = no limit said


def initiate_request(proposed: Conformance, largest_answer: int = LARGEST_PDU, dedicated_key: bytes = b"") -> bytes:
    """The proposal; ``largest_answer`` is the longest message we take, in octets.

    >>> initiate_request(READING, 0xFFFF).hex()
    '01000000065f1f0400001215ffff'
    """
    key = b"\x01" + encode_length(len(dedicated_key)) + dedicated_key if dedicated_key else b"\x00"
    services = _CONFORMANCE + proposed.to_bytes(3, "big")
    return bytes((_REQUEST,)) + key + b"\x00\x00" + bytes((_VERSION,)) + services + largest_answer.to_bytes(2, "big")


def parse_initiate_response(octets: bytes, proposed: Conformance) -> Granted:
    """What the meter agreed to.

    Raises:
        Declined: it agreed to nothing, or to another version of DLMS.
        Malformed: this is no answer to the proposal.
    """
    cursor = Cursor(octets)
    apdu = cursor.octet()
    if apdu == _SERVICE_ERROR:
        raise Declined(f"the meter refuses to initiate: {octets[1:].hex()}")
    if apdu != _RESPONSE:
        raise Malformed(f"no initiate response: {octets[:1].hex()}")
    if cursor.octet():
        cursor.octet()  # quality of service, not used
    version = cursor.octet()
    if version != _VERSION:
        raise Declined(f"DLMS version {version}; we speak {_VERSION}")
    if cursor.take(len(_CONFORMANCE)) != _CONFORMANCE:
        raise Malformed("no conformance block")
    granted = Conformance(cursor.uint(3) & proposed)
    largest = cursor.uint(2)
    if 0 < largest < _SMALLEST_PDU:
        raise Declined(f"the meter takes messages of {largest} octets only")
    if cursor.uint(2) != _LOGICAL_NAMES:
        raise Declined("the meter does not speak of objects by logical name")
    cursor.end()
    return Granted(granted, largest)
