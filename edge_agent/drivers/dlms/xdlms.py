"""The services of an association (DLMS UA Green Book, "xDLMS"): requests out, responses in, as octets.

Only what reads is made here: GET in its three forms. ACTION and SET change meters and can only be made through
``allow_list.AllowList``. What a meter answers is read within the limits of ``axdr`` and ``cursor``; a value inside a
list is read by the same decoder, so a list that was cut short is refused and never half believed.

Every answer but an exception carries the number of its question (invoke id); who asked compares.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.axdr import Data, Value, decode, encode, encode_length
from edge_agent.drivers.dlms.cursor import Cursor
from edge_agent.drivers.dlms.errors import Declined, Malformed
from metering.obis import ObisCode

INVOKE_IDS: Final = 16
_CONFIRMED_HIGH: Final = 0xC0  # a confirmed service of high priority


class Apdu(IntEnum):
    """First octet of a message."""

    CONFIRMED_SERVICE_ERROR = 0x0E
    DATA_NOTIFICATION = 0x0F
    GET_REQUEST = 0xC0
    SET_REQUEST = 0xC1
    ACTION_REQUEST = 0xC3
    GET_RESPONSE = 0xC4
    SET_RESPONSE = 0xC5
    ACTION_RESPONSE = 0xC7
    EXCEPTION_RESPONSE = 0xD8


class Attribute(NamedTuple):
    """One attribute of one COSEM object."""

    class_id: int
    obis: ObisCode
    number: int

    def encode(self) -> bytes:
        """Nine octets.

        >>> Attribute(3, ObisCode(1, 0, 1, 8, 0), 2).encode().hex()
        '00030100010800ff02'
        """
        return self.class_id.to_bytes(2, "big") + logical_name(self.obis) + self.number.to_bytes(1, "big", signed=True)

    def __str__(self) -> str:
        return f"{self.obis} attribute {self.number} (class {self.class_id})"


class Selection(NamedTuple):
    """Selective access: which part of an attribute is wanted."""

    selector: int
    parameters: Data

    def encode(self) -> bytes:
        """Selector and parameters."""
        return bytes((self.selector,)) + encode(self.parameters)


class Item(NamedTuple):
    """What one entry of a list asks for."""

    attribute: Attribute
    selection: Selection | None = None

    def encode(self) -> bytes:
        """The attribute and its selection, if any."""
        return self.attribute.encode() + (b"\x01" + self.selection.encode() if self.selection else b"\x00")


_ACCESS_RESULTS: Final = {
    1: "hardware fault",
    2: "temporary failure",
    3: "read or write denied",
    4: "object undefined",
    9: "object of another class",
    11: "object unavailable",
    12: "type unmatched",
    13: "scope of access violated",
    14: "data block unavailable",
    15: "long get aborted",
    16: "no long get in progress",
    17: "long set aborted",
    18: "no long set in progress",
    19: "data block number invalid",
    250: "other reason",
}


class Denied(NamedTuple):
    """Why the meter gives no value (data-access-result)."""

    code: int

    def __str__(self) -> str:
        return _ACCESS_RESULTS.get(self.code, f"reason {self.code}")


class Answer(NamedTuple):
    """A whole answer to a GET of one attribute."""

    invoke_id: int
    result: Value | Denied


class Answers(NamedTuple):
    """A whole answer to a GET of a list."""

    invoke_id: int
    results: list[Value | Denied]


class Block(NamedTuple):
    """One block of a long answer."""

    invoke_id: int
    last: bool
    number: int
    content: bytes | Denied


class Done(NamedTuple):
    """The answer to an ACTION or a SET; ``code`` 0 is success."""

    invoke_id: int
    code: int
    result: Value | Denied = None


class Wanted(NamedTuple):
    """The meter has taken one block of a long SET and waits for the next."""

    invoke_id: int
    number: int


class Notification(NamedTuple):
    """What a meter sent of its own accord (data-notification)."""

    number: int
    date_time: bytes  # 12 octets, or none
    value: Value


Response = Answer | Answers | Block | Done | Wanted


def logical_name(obis: ObisCode) -> bytes:
    """Six octets."""
    return bytes((obis.a, obis.b, obis.c, obis.d, obis.e, obis.f))


def head(apdu: Apdu, form: int, invoke_id: int) -> bytes:
    """The first three octets of a request."""
    return bytes((apdu, form, _CONFIRMED_HIGH | invoke_id))


def get_request(invoke_id: int, item: Item) -> bytes:
    """GET of one attribute."""
    return head(Apdu.GET_REQUEST, 1, invoke_id) + item.encode()


def get_next_request(invoke_id: int, number: int) -> bytes:
    """GET of the block after block ``number``."""
    return head(Apdu.GET_REQUEST, 2, invoke_id) + number.to_bytes(4, "big")


def get_list_request(invoke_id: int, items: Sequence[Item]) -> bytes:
    """GET of several attributes at once."""
    return head(Apdu.GET_REQUEST, 3, invoke_id) + encode_length(len(items)) + b"".join(item.encode() for item in items)


def parse_response(octets: bytes) -> Response:
    """What a meter answered to GET, SET or ACTION.

    Raises:
        Declined: an exception response or a service error: the meter refuses the service as a whole.
        Malformed: this is no such answer.
    """
    cursor = Cursor(octets)
    apdu = cursor.octet()
    if apdu in (Apdu.EXCEPTION_RESPONSE, Apdu.CONFIRMED_SERVICE_ERROR):
        raise _refusal(apdu, cursor)
    reader = _READERS.get((apdu, cursor.octet()))
    if reader is None:
        raise Malformed(f"no answer begins with {octets[:2].hex()}")
    response = reader(cursor, cursor.octet() % INVOKE_IDS)
    cursor.end()
    return response


def parse_results(octets: bytes) -> list[Value | Denied]:
    """The results of a list, which came in blocks.

    Raises:
        Malformed: they are not what the standard says.
    """
    cursor = Cursor(octets)
    results = _results(cursor)
    cursor.end()
    return results


def parse_notification(octets: bytes) -> Notification:
    """What a meter sent of its own accord.

    Raises:
        Malformed: this is no data-notification.
    """
    cursor = Cursor(octets)
    if cursor.octet() != Apdu.DATA_NOTIFICATION:
        raise Malformed("no data-notification")
    number = cursor.uint(4) & 0xFFFFFF
    return Notification(number, cursor.string(), decode(cursor.rest()))


def _refusal(apdu: int, cursor: Cursor) -> Declined:
    states = {1: "service not allowed", 2: "service unknown"}
    services = {
        1: "operation not possible",
        2: "service not supported",
        3: "other reason",
        4: "message too long",
        5: "deciphering error",
        6: "invocation counter error",
    }
    if apdu == Apdu.CONFIRMED_SERVICE_ERROR:
        service, error, code = cursor.take(3)
        return Declined(f"service error {service}/{error}/{code}", code)
    state, service = cursor.take(2)
    text = f"{states.get(state, f'state {state}')}, {services.get(service, f'reason {service}')}"
    return Declined(f"exception: {text}", service)


def _result(cursor: Cursor) -> Value | Denied:
    choice = cursor.octet()
    if choice == 0:
        return cursor.value()
    if choice == 1:
        return Denied(cursor.octet())
    raise Malformed(f"result choice {choice}")


def _results(cursor: Cursor) -> list[Value | Denied]:
    count = cursor.count()
    if 2 * count > cursor.left:
        raise Malformed(f"{count} results in {cursor.left} octets")
    return [_result(cursor) for _ in range(count)]


def _block(cursor: Cursor, invoke_id: int) -> Block:
    last, number, choice = bool(cursor.octet()), cursor.uint(4), cursor.octet()
    if choice > 1:
        raise Malformed(f"block choice {choice}")
    return Block(invoke_id, last, number, Denied(cursor.octet()) if choice else cursor.string())


def _action(cursor: Cursor, invoke_id: int) -> Done:
    code = cursor.octet()
    return Done(invoke_id, code, _result(cursor) if cursor.octet() else None)


def _last_set_block(cursor: Cursor, invoke_id: int) -> Done:
    code = cursor.octet()
    cursor.uint(4)
    return Done(invoke_id, code)


_READERS: Final[dict[tuple[int, int], Callable[[Cursor, int], Response]]] = {
    (Apdu.GET_RESPONSE, 1): lambda cursor, invoke_id: Answer(invoke_id, _result(cursor)),
    (Apdu.GET_RESPONSE, 2): _block,
    (Apdu.GET_RESPONSE, 3): lambda cursor, invoke_id: Answers(invoke_id, _results(cursor)),
    (Apdu.SET_RESPONSE, 1): lambda cursor, invoke_id: Done(invoke_id, cursor.octet()),
    (Apdu.SET_RESPONSE, 2): lambda cursor, invoke_id: Wanted(invoke_id, cursor.uint(4)),
    (Apdu.SET_RESPONSE, 3): _last_set_block,
    (Apdu.ACTION_RESPONSE, 1): _action,
}
