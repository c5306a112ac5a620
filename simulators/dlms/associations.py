"""The sessions of one connection or one line: one for each pair of client and meter, as meters have associations.

What a meter says instead of an answer (``Wire.altered``) it seals like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from simulators.dlms.device import LogicalDevice
from simulators.dlms.session import Session
from simulators.faults import Wire

_OTHER_REASON: Final = bytes([0xD8, 2, 3])  # exception response: service unknown, other reason
_INVOKE_ID: Final = 2  # position in every answer but an exception


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one service, before it is sealed."""

    unit: int
    apdu: bytes

    def refused(self, code: int) -> Answer:
        """The exception in its place; DLMS has no number for a failure of the device."""
        del code
        return replace(self, apdu=_OTHER_REASON)

    def shortened(self) -> Answer:
        """The last octet is missing; an exception stays as it is."""
        return self if self.apdu[0] == _OTHER_REASON[0] else replace(self, apdu=self.apdu[:-1])

    def astray(self) -> Answer:
        """As if it answered some other request: with another invoke id."""
        apdu = bytearray(self.apdu)
        apdu[_INVOKE_ID] ^= 1
        return replace(self, apdu=bytes(apdu))


class Associations:
    """What has been opened over one connection, or on one line."""

    def __init__(self, devices: Mapping[int, LogicalDevice], wire: Wire) -> None:
        """Nothing is open yet."""
        self._devices = devices
        self._wire = wire
        self._sessions: dict[tuple[int, int], Session] = {}

    def answer(self, client: int, address: int, request: bytes, now_ms: int) -> bytes | None:
        """One request of a client to a meter → its answer; ``None`` where there is no such meter, or it is silent."""
        device = self._devices.get(address)
        if device is None:
            return None
        key = (client, address)
        if key not in self._sessions:
            self._sessions[key] = Session(device, client, partial(self._altered, address))
        return self._sessions[key].answer(request, now_ms)

    def _altered(self, address: int, apdu: bytes, now_ms: int) -> bytes:
        return self._wire.altered(Answer(address, apdu), now_ms).apdu
