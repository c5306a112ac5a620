"""Finds the DLMS servers of an endpoint or a line, and what they tell everybody: name, number, counter, what they want.

Each address is asked twice. As the public client (16), which needs no key: what it may read is read. As the client that
will read the meter: an association without any proof, whose refusal says what is wanted. No password is ever tried: a
wrong one is counted by many meters, and some then lock the door.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from edge_agent.commissioning.found import Found, FoundServer, ServerPlace, Wants
from edge_agent.commissioning.scan import Watcher
from edge_agent.drivers.dlms.acse import (
    AssociationRequest,
    AssociationResponse,
    Context,
    Mechanism,
    parse_association_response,
)
from edge_agent.drivers.dlms.association import Credentials
from edge_agent.drivers.dlms.axdr import Value
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings, DlmsHdlcSettings, DlmsTcpSettings
from edge_agent.drivers.dlms.client import PUBLIC_CLIENT, Access, DlmsClient
from edge_agent.drivers.dlms.errors import Declined, DlmsError, Malformed, Untrusted
from edge_agent.drivers.dlms.hdlc import Deframer, ServerAddress, client_address
from edge_agent.drivers.dlms.hdlc_session import HdlcSession
from edge_agent.drivers.dlms.initiate import READING, initiate_request
from edge_agent.drivers.dlms.link import DlmsLink, Session
from edge_agent.drivers.dlms.reader import Conversation, Reader, Result
from edge_agent.drivers.dlms.wrapper import Unwrapper, WrapperSession
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.transport.endpoint import open_tcp
from edge_agent.drivers.transport.serial_port import open_port
from metering.obis import ObisCode

_DATA: Final = 1  # class
_FOR_EVERYONE: Final = tuple(
    Attribute(_DATA, ObisCode.parse(name), 2) for name in ("0-0:42.0.0", "0-0:96.1.0", "0-0:43.1.0")
)
_TRIES: Final = 3  # of an HDLC frame, as ``link`` makes them
_CIPHERED_ONLY: Final = (2,)  # diagnostics of the AARE: application context not supported
_UNKNOWN_CLIENT: Final = (3,)
_PROOF: Final = (11, 12, 13, 14)


def wanted(response: AssociationResponse) -> Wants:
    """What a server wants that was asked for an association without any proof."""
    if response.mechanism == Mechanism.LOW:
        return "password"
    if response.context == Context.CIPHERED or (response.mechanism or 0) > Mechanism.LOW:
        return "keys"
    if response.accepted:
        return "nothing"
    for diagnostics, what in _BY_DIAGNOSTIC:
        if response.diagnostic in diagnostics:
            return what
    return "other"


_BY_DIAGNOSTIC: Final[tuple[tuple[tuple[int, ...], Wants], ...]] = (
    (_CIPHERED_ONLY, "keys"),
    (_UNKNOWN_CLIENT, "other client"),
    (_PROOF, "proof"),
)


def usual_places(line: DlmsBusSettings, serial: str = "") -> list[ServerPlace]:
    """Where servers usually are: 1, 16, 17; on a line also 1 with the lower address 16 or 17.

    With the digits of the plate also what many makers reckon from them: 16 + the last two, the last four, 1000 + the
    last four.
    """
    found = [ServerPlace(1), ServerPlace(16), ServerPlace(17)]
    if not line.on_a_line:
        return found
    lower = [16, 17]
    if serial:
        lower += [16 + int(serial[-2:]), int(serial[-4:]), 1000 + int(serial[-4:])]
    places = [*found, *(ServerPlace.parse(f"1/{one}") for one in lower)]
    return list(dict.fromkeys(places))


@dataclass
class DlmsScan:
    """A scan of one endpoint or line; see ``scan.Scan``."""

    line: DlmsBusSettings
    places: Sequence[ServerPlace]
    client: int = 1  # that will read the meters
    found: list[Found] = field(default_factory=list)
    asked: int = 0

    @property
    def total(self) -> int:
        """Addresses to ask."""
        return len(self.places)

    @property
    def at_most_s(self) -> float:
        """How long it takes if nobody answers."""
        tries = _TRIES if self.line.on_a_line else 1
        return 2 * tries * len(self.places) * self.line.timeout

    async def run(self, watcher: Watcher) -> ReadFailure | None:
        """Ask at every address; why the line could not be used, if it could not."""
        opening = (
            partial(open_port, self.line) if isinstance(self.line, DlmsHdlcSettings) else partial(open_tcp, self.line)
        )
        link = DlmsLink(opening, Deframer if self.line.on_a_line else Unwrapper, self.line.timeout)
        try:
            for place in self.places:
                if not link.connected and (failure := await link.connect()) is not None:
                    return failure
                one = await self._look(link, place)
                if one is not None and not self._known(one):
                    self.found.append(one)
                    watcher.found(one)
                self.asked += 1
                watcher.asked(self.asked, self.total, len(self.found))
        finally:
            link.close()
        return None

    def _known(self, one: FoundServer) -> bool:
        """Whether it was found already: many meters answer at several addresses."""
        names = {(other.device_name, other.serial) for other in self.found if isinstance(other, FoundServer)}
        return bool(one.device_name or one.serial) and (one.device_name, one.serial) in names

    async def _look(self, link: DlmsLink, place: ServerPlace) -> FoundServer | None:
        make_session = session_maker(self.line, place)
        client = DlmsClient(link, Access(make_session, PUBLIC_CLIENT, Credentials))
        told: list[Result] | None = None
        there = False
        try:
            told = await client.converse(_names)
            client.part()
        except (Declined, Untrusted):
            there = True
        except DlmsError:
            await _fresh(link)
        wants, detail = await _asked_plainly(link, make_session(self.client))
        if wants == "no answer" and told is None and not there:
            await _fresh(link)
            return None
        name, serial, counter = told or (None, None, None)
        return FoundServer(
            self.line,
            place,
            self.client,
            wants,
            detail,
            told is not None,
            _text(name),
            _text(serial),
            counter if isinstance(counter, int) and not isinstance(counter, Denied) else None,
        )


def session_maker(line: DlmsBusSettings, place: ServerPlace) -> Callable[[int], Session]:
    """For a client: its session with the server at a place."""
    if isinstance(line, DlmsTcpSettings):
        return lambda client: WrapperSession(client, place.server)
    server = ServerAddress(place.server, place.physical, place.octets).encode()
    return lambda client: HdlcSession(client_address(client), server, line.information)


async def _asked_plainly(link: DlmsLink, session: Session) -> tuple[Wants, str]:
    """What the server wants of this client, and its own reason."""
    request = AssociationRequest(Context.PLAIN, Mechanism.NONE, initiate_request(READING)).encode()
    try:
        await link.open(session)
        response = parse_association_response(await link.exchange(session, request))
    except Declined as error:
        return "other", str(error)
    except Malformed as error:
        await _fresh(link)
        return "other", str(error)
    except DlmsError:
        await _fresh(link)
        return "no answer", ""
    finally:
        link.part(session)
    return wanted(response), "" if response.accepted else response.reason


async def _fresh(link: DlmsLink) -> None:
    """After a silence or a mess nothing of what may still come is listened to."""
    link.close()
    await link.connect()


def _names(reader: Reader) -> Conversation[list[Result]]:
    return reader.get_all([Item(attribute) for attribute in _FOR_EVERYONE])


def _text(result: Value | Denied) -> str:
    """A name as people write it; hexadecimal digits where it is none."""
    if isinstance(result, bytes):
        text = result.decode("ascii", "replace").rstrip("\0 ")
        return text if text.isprintable() and "\ufffd" not in text else result.hex()
    return result if isinstance(result, str) else ""
