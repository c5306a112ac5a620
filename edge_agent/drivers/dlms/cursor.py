"""Reads a message from front to back; it never passes the end, and says where it stood when something was missing."""

from __future__ import annotations

from edge_agent.drivers.dlms.axdr import Value, decode_at, length_at
from edge_agent.drivers.dlms.errors import Malformed


class Cursor:
    """A place in a message. Every method raises ``Malformed`` where octets are missing."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    @property
    def left(self) -> int:
        """How many octets follow."""
        return len(self._octets) - self._at

    def octet(self) -> int:
        """The next octet."""
        return self.take(1)[0]

    def uint(self, size: int) -> int:
        """The next ``size`` octets as an unsigned number."""
        return int.from_bytes(self.take(size), "big")

    def take(self, size: int) -> bytes:
        """The next ``size`` octets."""
        if size > self.left:
            raise Malformed(f"cut short at octet {self._at}")
        self._at += size
        return self._octets[self._at - size : self._at]

    def count(self) -> int:
        """A length or count field."""
        value, self._at = length_at(self._octets, self._at)
        return value

    def string(self) -> bytes:
        """A length field and as many octets."""
        return self.take(self.count())

    def value(self) -> Value:
        """A COSEM data value."""
        value, self._at = decode_at(self._octets, self._at)
        return value

    def rest(self) -> bytes:
        """Everything that follows."""
        return self.take(self.left)

    def end(self) -> None:
        """Nothing may follow."""
        if self.left:
            raise Malformed(f"{self.left} octets after the end")
