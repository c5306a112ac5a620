"""One client's HDLC connection to one meter (IEC 62056-46), frames in, frames and messages out, window 1.

    CLOSED ── SNRM ──► OPENING ── UA ──► OPEN ── DISC ──► CLOSING ── UA or DM ──► CLOSED

Messages longer than the negotiated information field travel in segments, both ways: each segment of ours waits for
the meter's receive-ready, each of the meter's is acknowledged with one. What got lost is found by polling: after a
silence the caller sends ``poll()``; the meter then repeats its frame, or says by its number that it lacks ours.

Frames for or from somebody else are passed over: other meters of the line, and our own words as an echo.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple

from edge_agent.drivers.dlms.errors import Declined, Malformed
from edge_agent.drivers.dlms.hdlc import Control, Frame, numbered

DEFAULT_INFORMATION: Final = 128  # octets, IEC 62056-46, 6.4.4.4.3.2
MAX_MESSAGE: Final = 65_535  # the largest message anybody may negotiate

_REQUEST_LLC: Final = b"\xe6\xe6\x00"
_RESPONSE_LLC: Final = b"\xe6\xe7\x00"
_PARAMETERS: Final = b"\x81\x80"
_SENDS, _TAKES, _SEND_WINDOW, _TAKE_WINDOW = 5, 6, 7, 8
_FINAL: Final = 0x10
_SUPERVISORY: Final = 0x0F  # of a control octet: kind of frame without numbers and final bit


class State(Enum):
    """Where the connection stands."""

    CLOSED = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSING = auto()


class Heard(NamedTuple):
    """What one frame led to."""

    reply: bytes = b""  # to send at once
    message: bytes | None = None  # complete


class HdlcSession:
    """One connection; make a new one after an error."""

    def __init__(self, client: bytes, server: bytes, information: int = DEFAULT_INFORMATION) -> None:
        """Take both addresses and the largest information field that we offer, in octets."""
        self.state = State.CLOSED
        self.information = information
        self._client = client
        self._server = server
        self._sent = 0  # number of our next information frame
        self._received = 0  # number of the meter's next one
        self._last = b""  # our last information frame, until the meter has it
        self._segments: list[bytes] = []  # of our message, not sent yet
        self._parts = bytearray()  # of the meter's message

    @property
    def ready(self) -> bool:
        """Whether messages may be sent."""
        return self.state is State.OPEN

    def open(self) -> bytes:
        """Ask for the connection and offer our limits."""
        self.state = State.OPENING
        offered = _parameter(_SENDS, 2, self.information) + _parameter(_TAKES, 2, self.information)
        offered += _parameter(_SEND_WINDOW, 4, 1) + _parameter(_TAKE_WINDOW, 4, 1)
        return self._frame(Control.SNRM, _PARAMETERS + bytes((len(offered),)) + offered)

    def send(self, message: bytes) -> bytes:
        """The first frame of a message; the others follow out of ``receive``."""
        if self.state is not State.OPEN:
            raise Declined("the HDLC connection is not open")
        octets = _REQUEST_LLC + message
        size = self.information
        self._segments = [octets[at : at + size] for at in range(0, len(octets), size)]
        self._parts.clear()
        return self._next_segment()

    def poll(self) -> bytes:
        """What to send after a silence: say what we have, ask for what comes next."""
        if self.state is State.OPENING:
            return self.open()
        return self._frame(Control.RR | self._received << 5) if self.state is State.OPEN else b""

    def close(self) -> bytes:
        """Ask the meter to forget the connection."""
        if self.state is not State.OPEN:
            self.state = State.CLOSED
            return b""
        self.state = State.CLOSING
        return self._frame(Control.DISC)

    def receive(self, frame: Frame) -> Heard:
        """Take one frame.

        Raises:
            Declined: the meter has no connection or wants none.
            Malformed: the meter breaks the rules; the connection is lost.
        """
        if (frame.destination, frame.source) != (self._client, self._server):
            return Heard()
        if not frame.control & 1:
            return self._on_information(frame)
        kind = frame.control | _FINAL
        if kind == Control.UA:
            self._on_acknowledged(frame.information)
        elif kind == Control.DM and self.state is not State.CLOSED:
            asked = self.state is State.CLOSING
            self.state = State.CLOSED
            if not asked:
                raise Declined("the meter disconnected (DM)")
        elif kind == Control.FRMR:
            self.state = State.CLOSED
            raise Malformed("the meter rejects our frame (FRMR)")
        elif frame.control & _SUPERVISORY == Control.RR & _SUPERVISORY and self.state is State.OPEN:
            return self._on_receive_ready(frame.control >> 5)
        return Heard()

    def _on_acknowledged(self, information: bytes) -> None:
        if self.state is State.CLOSING:
            self.state = State.CLOSED
        elif self.state is State.OPENING:
            self.state = State.OPEN
            self.information = min(self.information, *_offered(information))

    def _on_receive_ready(self, wanted: int) -> Heard:
        if wanted == self._sent:
            self._last = b""
            return Heard(self._next_segment()) if self._segments else Heard()
        if self._last and (wanted + 1) % 8 == self._sent:
            return Heard(self._last)
        raise Malformed(f"the meter waits for frame {wanted}, we are at {self._sent}")

    def _on_information(self, frame: Frame) -> Heard:
        if self.state is not State.OPEN:
            return Heard()
        if (frame.control >> 1) & 7 != self._received:  # what we have already, once more
            return Heard(self.poll() if frame.control & _FINAL else b"")
        if frame.control >> 5 != self._sent or self._segments:
            raise Malformed("the meter answers before it has heard all")
        self._last = b""
        self._received = (self._received + 1) % 8
        self._parts += frame.information
        if len(self._parts) > MAX_MESSAGE:
            raise Malformed(f"a message of more than {MAX_MESSAGE} octets")
        if frame.segmented:
            return Heard(self.poll() if frame.control & _FINAL else b"")
        message = bytes(self._parts)
        self._parts.clear()
        if not message.startswith(_RESPONSE_LLC):
            raise Malformed("no LLC header (E6 E7 00)")
        return Heard(message=message[len(_RESPONSE_LLC) :])

    def _next_segment(self) -> bytes:
        segment = self._segments.pop(0)
        control = numbered(self._sent, self._received)
        self._sent = (self._sent + 1) % 8
        self._last = self._frame(control, segment, segmented=bool(self._segments))
        return self._last

    def _frame(self, control: int, information: bytes = b"", *, segmented: bool = False) -> bytes:
        return Frame(self._server, self._client, control, information, segmented).encode()


def _parameter(number: int, size: int, value: int) -> bytes:
    return bytes((number, size)) + value.to_bytes(size, "big")


def _offered(information: bytes) -> tuple[int, int]:
    """The largest information fields that the meter sends and takes; what it does not say is the default."""
    found = {_SENDS: DEFAULT_INFORMATION, _TAKES: DEFAULT_INFORMATION}
    if information and (information[:2] != _PARAMETERS or list(information[2:3]) != [len(information) - 3]):
        raise Malformed("the limits in the meter's answer (UA) cannot be read")
    at = 3
    while at + 1 < len(information):
        number, size = information[at], information[at + 1]
        found[number] = int.from_bytes(information[at + 2 : at + 2 + size], "big")
        at += 2 + size
    sends, takes = found[_SENDS], found[_TAKES]
    if not sends or not takes:
        raise Malformed("the meter takes no octets")
    return sends, takes
