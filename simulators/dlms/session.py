"""The meter's side of one association: a request in, an answer out. No socket, no clock of its own."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Final

from simulators.dlms.channel import Channel, is_dedicated
from simulators.dlms.data import BadRequest, Data, length, logical_name, read, read_length, read_octets, to_bytes
from simulators.dlms.device import BLOCK_GET, GENERAL_PROTECTION, GET, LISTS, MECHANISMS, SET, Access, LogicalDevice
from simulators.dlms.objects import Denied
from simulators.dlms.seal import AUTHENTICATED, BadSeal

_UA: Final = bytes([0x60, 0x85, 0x74, 0x05, 0x08])
_SERVICE_UNSUPPORTED: Final = bytes([0xD8, 1, 2])
_CANNOT_DECIPHER: Final = bytes([0xD8, 1, 5])
_REPLY_TO_HLS: Final = (15, logical_name("0-0:40.0.0"), 1)
_BLOCK_HEAD: Final = 20
_SEAL_OVERHEAD: Final = 40


Alter = Callable[[bytes, int], bytes]
"""An answer and the instant (ms since 1970 UTC) → what is said instead."""


def _as_it_is(apdu: bytes, at_ms: int) -> bytes:
    del at_ms
    return apdu


class Session:
    """What one client says over one connection; it may associate again and again."""

    def __init__(self, device: LogicalDevice, client: int, alter: Alter = _as_it_is) -> None:
        """Nothing is open yet; ``alter`` makes of the answer to a service what the meter says instead."""
        self.device = device
        self._alter = alter
        self.access = device.accesses.get(client)
        self.associated = False
        self.proved = False
        self.heard_requests = 0
        self._channel: Channel | None = None
        self._challenge = b""
        self._theirs = b""
        self._granted = 0
        self._limit = 0
        self._long: tuple[bytes, int] | None = None
        self._setting: tuple[tuple[int, bytes, int], bytes] | None = None
        self._kept = b""

    def answer(self, apdu: bytes, at_ms: int) -> bytes | None:
        """One request → its answer; ``None`` where a meter stays silent."""
        self.heard_requests += 1
        try:
            if apdu[:1] == b"\x60":
                return self._associate(apdu)
            if apdu[:1] == b"\x62":
                self.associated = self.proved = False
                return bytes.fromhex("6303800100")
            channel = self._channel
            return self._serve(apdu, channel, at_ms) if self.associated and channel else None
        except BadRequest:
            return _SERVICE_UNSUPPORTED

    def _associate(self, apdu: bytes) -> bytes:
        access = self.access
        self.associated = self.proved = False
        fields = _fields(apdu)
        if access is None:
            return _refusal(3)
        context = fields.get(0xA1, b"")[-1:]
        mechanism = fields.get(0x8B, b"\0")[-1]
        value = fields.get(0xAC, b"\0\0")[2:]
        if context != bytes([3 if access.control else 1]):
            return _refusal(2)
        if mechanism != MECHANISMS[access.mechanism]:
            return _refusal(11 if mechanism else 14)
        if access.mechanism == "low" and not hmac.compare_digest(value, access.password):
            return _refusal(13)
        self._channel = Channel(self.device, access.control, fields.get(0xA6, b"\0\0")[2:])
        proposal = fields[0xBE][2:] if fields[0xBE][1] < 0x80 else fields[0xBE][3:]  # noqa: PLR2004
        if access.control:
            opened = _unsealed(self._channel, proposal)
            if opened is None:
                return _refusal(13)
            proposal = opened
        self._theirs = value
        self._challenge = self.device.random_octets(16)
        self._initiate(proposal, self._channel)
        self.associated = True
        self.proved = access.mechanism != "gmac"
        return self._acceptance(access, self._channel)

    def _initiate(self, proposal: bytes, channel: Channel) -> None:
        stream = BytesIO(proposal)
        if read_octets(stream, 1) != b"\x01":
            raise BadRequest("no initiate request")
        if read_octets(stream, 1) != b"\0":
            channel.dedicated = read_octets(stream, read_length(stream))
        for _ in range(2):
            if read_octets(stream, 1) != b"\0":
                read_octets(stream, 1)
        if read_octets(stream, 5) != bytes.fromhex("065f1f0400"):
            raise BadRequest("another version")
        self._granted = int.from_bytes(read_octets(stream, 3), "big") & self.device.conformance
        theirs = int.from_bytes(read_octets(stream, 2), "big") or 0xFFFF
        self._limit = min(theirs, self.device.largest_pdu)

    def _acceptance(self, access: Access, channel: Channel) -> bytes:
        response = bytes.fromhex("0800065f1f0400") + self._granted.to_bytes(3, "big")
        response += self.device.largest_pdu.to_bytes(2, "big") + bytes([0, 7])
        diagnostic = 0
        extra = b""
        if access.control:
            body = channel.seal(response, dedicated=False)
            response = b"\x28" + length(len(body)) + body
            extra += _field(0xA4, _field(0x04, self.device.title))
        if access.mechanism == "gmac":
            diagnostic = 14
            extra += bytes.fromhex("88020780") + _field(0x89, _UA + bytes([2, 5]))
            extra += _field(0xAA, _field(0x80, self._challenge))
        return _response(0, diagnostic, 3 if access.control else 1, extra, _field(0xBE, _field(0x04, response)))

    def _serve(self, apdu: bytes, channel: Channel, at_ms: int) -> bytes | None:
        try:
            plain, wrapped = channel.opened(apdu)
        except BadSeal:
            return _CANNOT_DECIPHER
        if plain is None:
            return bytes([0xD8, 2, 6]) + (self.device.heard + 1).to_bytes(4, "big")
        if channel.control and not wrapped:
            return _SERVICE_UNSUPPORTED
        response = self._service(plain, channel, at_ms)
        return self._delivered(self._alter(self._spoiled(response), at_ms), channel, wrapped)

    def _service(self, plain: bytes, channel: Channel, at_ms: int) -> bytes:
        stream = BytesIO(plain)
        service, form, invoke = read_octets(stream, 3)
        if service == 0xC3 and form == 1:  # noqa: PLR2004
            return bytes([0xC7, 1, invoke]) + self._action(stream, channel)
        if not self.proved:
            return _SERVICE_UNSUPPORTED
        if service == 0xC0 and self._granted & GET:  # noqa: PLR2004
            return self._get(stream, form, invoke, at_ms)
        if service == 0xC1 and self._granted & SET:  # noqa: PLR2004
            return self._set(stream, form, invoke, at_ms)
        return _SERVICE_UNSUPPORTED

    def _get(self, stream: BytesIO, form: int, invoke: int, at_ms: int) -> bytes:
        if form == 2:  # noqa: PLR2004
            return self._next_block(invoke, int.from_bytes(read_octets(stream, 4), "big") + 1)
        if form == 1:
            found = self._result(stream, at_ms)
            return self._whole_or_block(bytes([0xC4, 1, invoke]), found, found[1:] if found[0] == 0 else None)
        count = read_length(stream)
        if not self._granted & LISTS or count > self.device.longest_list:
            return _SERVICE_UNSUPPORTED
        content = length(count) + b"".join(self._result(stream, at_ms) for _ in range(count))
        return self._whole_or_block(bytes([0xC4, 3, invoke]), content, content)

    def _result(self, stream: BytesIO, at_ms: int) -> bytes:
        place = _place(stream)
        selection = None
        if read_octets(stream, 1) != b"\0":
            selection = (read_octets(stream, 1)[0], read(stream))
        try:
            assert self.access is not None  # noqa: S101 - there is an association
            return b"\0" + to_bytes(self.device.get(self.access, place, at_ms, selection))
        except Denied as error:
            return bytes([1, error.code])

    def _whole_or_block(self, head: bytes, content: bytes, long: bytes | None) -> bytes:
        limit = self._limit - (_SEAL_OVERHEAD if self.access and self.access.control else 0)
        if len(head) + len(content) <= limit or long is None or not self._granted & BLOCK_GET:
            return head + content
        self._long = (long, limit - _BLOCK_HEAD)
        return self._next_block(head[2], 1)

    def _next_block(self, invoke: int, number: int) -> bytes:
        if self._long is None:
            return bytes([0xC4, 2, invoke, 1]) + number.to_bytes(4, "big") + bytes([1, 16])
        content, size = self._long
        part = content[(number - 1) * size : number * size]
        last = number * size >= len(content)
        if self.device.faults.strikes("endless_blocks"):
            part, last = content[:size], False
        if last:
            self._long = None
        return bytes([0xC4, 2, invoke, last]) + number.to_bytes(4, "big") + b"\0" + length(len(part)) + part

    def _set(self, stream: BytesIO, form: int, invoke: int, at_ms: int) -> bytes:
        place = self._setting[0] if form == 3 and self._setting else _place(stream)  # noqa: PLR2004
        if form != 3 and read_octets(stream, 1) != b"\0":  # noqa: PLR2004
            raise BadRequest("selective access in a SET")
        if form == 1:
            return bytes([0xC5, 1, invoke, self._changed(place, stream, at_ms)])
        last, number = read_octets(stream, 1) != b"\0", read_octets(stream, 4)
        part = read_octets(stream, read_length(stream))
        before = self._setting[1] if form == 3 and self._setting else b""  # noqa: PLR2004
        self._setting = None if last else (place, before + part)
        if not last:
            return bytes([0xC5, 2, invoke]) + number
        return bytes([0xC5, 3, invoke, self._changed(place, BytesIO(before + part), at_ms)]) + number

    def _changed(self, place: tuple[int, bytes, int], stream: BytesIO, at_ms: int) -> int:
        """Take what was sent; return the data-access-result."""
        assert self.access is not None  # noqa: S101 - there is an association
        try:
            self.device.set(self.access, place, read(stream), at_ms)
        except Denied as error:
            return error.code
        return 0

    def _action(self, stream: BytesIO, channel: Channel) -> bytes:
        if _place(stream) != _REPLY_TO_HLS or self.access is None or self.access.mechanism != "gmac":
            return bytes([3, 0])
        argument: Data = read(stream) if read_octets(stream, 1) != b"\0" else ("null-data", None)
        if not channel.knows_us(argument[1], self._challenge):
            return bytes([11, 0])
        self.proved = True
        return bytes([0, 1, 0]) + to_bytes(("octet-string", channel.prove(self._theirs)))

    def _spoiled(self, response: bytes) -> bytes:
        faults = self.device.faults
        if faults.strikes("wrong_invoke_id"):
            response = response[:2] + bytes([response[2] ^ 1]) + response[3:]
        if faults.strikes("truncated_block"):
            response = response[:-2]
        return response

    def _delivered(self, response: bytes, channel: Channel, wrapped: int) -> bytes:
        faults = self.device.faults
        if not wrapped or faults.strikes("plaintext"):
            return response
        if faults.strikes("replay") and self._kept:
            return self._kept
        dedicated = is_dedicated(wrapped)
        title = b"BAD\0\0\0\0\x01" if faults.strikes("wrong_title") else self.device.title
        control = AUTHENTICATED if faults.strikes("downgrade") else channel.control
        body = channel.seal(response, dedicated=dedicated, title=title, control=control)
        if faults.strikes("forged_counter"):
            body = body[:1] + b"\xff\xff\xff\xff" + body[5:]
        elif faults.strikes("forged_tag"):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if wrapped in (219, 220) and self._granted & GENERAL_PROTECTION:
            self._kept = bytes([wrapped, 8]) + title + length(len(body)) + body
        else:
            outer = {0xC4: 0xCC, 0xC5: 0xCD, 0xC7: 0xCF, 0xD8: 0xCC}[response[0]] + (8 if dedicated else 0)
            self._kept = bytes([outer]) + length(len(body)) + body
        return self._kept


def public_access() -> Access:
    """Anybody may read the clock, the name and the counter."""
    return replace(Access(), everything=False)


def _place(stream: BytesIO) -> tuple[int, bytes, int]:
    octets = read_octets(stream, 9)
    return int.from_bytes(octets[:2], "big"), octets[2:8], octets[8]


def _unsealed(channel: Channel, octets: bytes) -> bytes | None:
    """The proposal of a client with keys; nothing if it has other keys or went back."""
    stream = BytesIO(octets)
    if read_octets(stream, 1) != b"\x21":
        return None
    try:
        return channel.unseal(read_octets(stream, read_length(stream)), dedicated=False)
    except BadSeal:
        return None


def _field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + length(len(content)) + content


def _response(result: int, diagnostic: int, context: int, extra: bytes, information: bytes = b"") -> bytes:
    content = _field(0xA1, _field(0x06, _UA + bytes([1, context]))) + _field(0xA2, bytes([2, 1, result]))
    content += _field(0xA3, _field(0xA1, bytes([2, 1, diagnostic])))
    return _field(0x61, content + extra + information)


def _refusal(diagnostic: int) -> bytes:
    return _response(1, diagnostic, 1, b"")


def _fields(apdu: bytes) -> dict[int, bytes]:
    outer = BytesIO(apdu[1:])
    stream = BytesIO(read_octets(outer, read_length(outer)))
    found = {}
    while tag := stream.read(1):
        found[tag[0]] = read_octets(stream, read_length(stream))
    if 0xBE not in found:  # noqa: PLR2004
        raise BadRequest("no proposal")
    return found
