"""SET and ACTION change a meter, so they can only be made here, and only what was allowed by name.

The driver reads; its allow-list holds the one method without which some meters cannot be read at all: the answer to
the meter's challenge when an association of high security opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import Data, encode, encode_length
from edge_agent.drivers.dlms.errors import Declined
from edge_agent.drivers.dlms.xdlms import Apdu, Attribute, head, logical_name
from metering.obis import ObisCode


class Method(NamedTuple):
    """One method of one COSEM object."""

    class_id: int
    obis: ObisCode
    number: int

    def encode(self) -> bytes:
        """Nine octets."""
        return self.class_id.to_bytes(2, "big") + logical_name(self.obis) + self.number.to_bytes(1, "big", signed=True)

    def __str__(self) -> str:
        return f"{self.obis} method {self.number} (class {self.class_id})"


_BLOCK_HEAD: Final = 23  # octets: 3 + attribute 9 + selection 1 + last 1 + number 4 + length 5

REPLY_TO_HLS: Final = Method(15, ObisCode(0, 0, 40, 0, 0), 1)
"""Current association, reply_to_HLS_authentication."""


class AllowList:
    """The attributes that may be set and the methods that may be invoked."""

    def __init__(self, attributes: Iterable[Attribute] = (), methods: Iterable[Method] = (REPLY_TO_HLS,)) -> None:
        self._attributes = frozenset(attributes)
        self._methods = frozenset(methods)

    def action_request(self, invoke_id: int, method: Method, argument: Data | None = None) -> bytes:
        """Invoke a method.

        Raises:
            Declined: it is not allowed; nothing was made.
        """
        if method not in self._methods:
            raise Declined(f"{method} is not on the allow-list")
        optional = b"\x00" if argument is None else b"\x01" + encode(argument)
        return head(Apdu.ACTION_REQUEST, 1, invoke_id) + method.encode() + optional

    def set_request(self, invoke_id: int, attribute: Attribute, value: Data) -> bytes:
        """Set an attribute in one message.

        Raises:
            Declined: it is not allowed; nothing was made.
        """
        self._check(attribute)
        return head(Apdu.SET_REQUEST, 1, invoke_id) + attribute.encode() + b"\x00" + encode(value)

    def set_blocks(self, invoke_id: int, attribute: Attribute, value: Data, longest: int) -> list[bytes]:
        """Set an attribute in blocks: the messages, each of at most ``longest`` octets, in their order.

        Raises:
            Declined: it is not allowed; nothing was made.
        """
        self._check(attribute)
        octets = encode(value)
        size = longest - _BLOCK_HEAD
        if size < 1:
            raise ValueError(f"no block fits into {longest} octets")
        parts = [octets[at : at + size] for at in range(0, len(octets), size)]
        messages = []
        for number, part in enumerate(parts, 1):
            last = number == len(parts)
            first = head(Apdu.SET_REQUEST, 2, invoke_id) + attribute.encode() + b"\x00"
            start = first if number == 1 else head(Apdu.SET_REQUEST, 3, invoke_id)
            messages.append(start + bytes((last,)) + number.to_bytes(4, "big") + encode_length(len(part)) + part)
        return messages

    def _check(self, attribute: Attribute) -> None:
        if attribute not in self._attributes:
            raise Declined(f"{attribute} is not on the allow-list")
