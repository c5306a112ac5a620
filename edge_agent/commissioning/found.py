"""Who was found on a line: a Modbus unit, a DL/T 645 meter or a DLMS server, and what is known of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from edge_agent.commissioning.guess import Guess
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings

_PLACE: Final = re.compile(r"(\d{1,5})(?:/(\d{1,5})(?:/([24]))?)?")
_LONGEST_OF_TWO: Final = 127  # seven bits each
_HIGHEST: Final = 0x3FFF

Wants = Literal["nothing", "password", "keys", "proof", "other client", "no answer", "other"]
"""What a DLMS server wants of a client: nothing, a password, sealed messages, one of both, another client address."""


@dataclass(frozen=True, slots=True)
class FoundUnit:
    """A Modbus unit that answers."""

    line: ModbusBusSettings
    unit: int
    guesses: list[Guess]  # the best first; empty if no map fits


@dataclass(frozen=True, slots=True)
class FoundAddress:
    """A DL/T 645 meter that answers."""

    line: Dlt645BusSettings
    address: str  # 12 digits
    guesses: list[Guess]


class ServerPlace(NamedTuple):
    """Where a DLMS server is: wrapper port or upper HDLC address, lower HDLC address, octets of both."""

    server: int
    physical: int | None = None
    octets: Literal[1, 2, 4] = 1

    @classmethod
    def parse(cls, text: str) -> ServerPlace:
        """Read ``1``, ``1/17``, or ``1/17/4`` where the length of the HDLC address is not the shortest.

        >>> ServerPlace.parse("1/1234")
        ServerPlace(server=1, physical=1234, octets=4)

        Raises:
            ValueError: it is no such text.
        """
        match = _PLACE.fullmatch(text.strip())
        if match is None or not 1 <= int(match[1]) <= _HIGHEST or int(match[2] or 0) > _HIGHEST:
            raise ValueError(text)
        server = int(match[1])
        if match[2] is None:
            return cls(server)
        physical = int(match[2])
        long = match[3] == "4" or max(server, physical) > _LONGEST_OF_TWO
        return cls(server, physical, 4 if long else 2)

    def __str__(self) -> str:
        if self.physical is None:
            return str(self.server)
        short = self.octets == 4 and max(self.server, self.physical) <= _LONGEST_OF_TWO  # noqa: PLR2004 - octets
        return f"{self.server}/{self.physical}{'/4' if short else ''}"


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A DLMS server that answers, and what everybody may know of it."""

    line: DlmsBusSettings
    place: ServerPlace
    client: int  # for which ``wants`` was asked
    wants: Wants
    detail: str = ""  # the meter's own reason
    public: bool = False  # whether it lets the public client in
    device_name: str = ""  # 0-0:42.0.0
    serial: str = ""  # 0-0:96.1.0
    counter: int | None = None  # 0-0:43.1.0


Found = FoundUnit | FoundAddress | FoundServer
