"""One open line and one exchange on it at a time: a message goes to a meter, its answer comes back, in time or not.

The shell around the frames: it sends what a session wants sent, feeds what arrives to the deframer, and waits. A
silence is told to the session once or twice, which may ask again (HDLC) or not (TCP loses nothing). Whatever goes
wrong becomes one of our errors, and who called decides whether the line stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from edge_agent.drivers.dlms.errors import Lost, Malformed, Noise, Silent
from edge_agent.drivers.dlms.hdlc_session import Heard
from edge_agent.drivers.driver import ReadFailure
from edge_agent.drivers.transport.stream import Stream
from edge_agent.drivers.transport.stream_link import Opening, StreamLink

_POLLS: Final = 2  # after a silence, before we believe it
_MOST_KEPT: Final = 1 << 18  # octets between two looks; a message is at most a quarter of it
_LONGEST_S: Final = 120.0  # of one exchange, or of many: 65,535 octets at 9600 Bd take 70 s


class Deframer(Protocol):
    """Finds frames in a stream."""

    def feed(self, octets: bytes) -> Sequence[Any]:
        """Every frame that is complete now."""
        ...

    def give_up(self) -> Sequence[Any]:
        """Nothing more comes."""
        ...


class Session(Protocol):
    """One meter's end of the line."""

    @property
    def ready(self) -> bool:
        """Whether messages may be sent."""
        ...

    def open(self) -> bytes:
        """What to send first; nothing if there is nothing to open."""
        ...

    def send(self, message: bytes) -> bytes:
        """The first frame of a message."""
        ...

    def poll(self) -> bytes:
        """What to send after a silence, if anything."""
        ...

    def close(self) -> bytes:
        """What to send last, if anything."""
        ...

    def receive(self, frame: Any) -> Heard:
        """Take one frame."""
        ...


class DlmsLink(StreamLink):
    """One TCP connection or serial line with one or many meters on it."""

    def __init__(
        self, opening: Opening, make_deframer: Callable[[], Deframer], timeout_s: float, longest_s: float = _LONGEST_S
    ) -> None:
        """Take how to open it and how to find frames.

        ``timeout_s`` is the longest silence inside an answer, ``longest_s`` how long one meter may hold the line.
        """
        super().__init__(opening)
        self._make_deframer = make_deframer
        self._timeout_s = timeout_s
        self.longest_s = longest_s
        self._deframer = make_deframer()

    async def connect(self) -> ReadFailure | None:
        """Open the line, or say why that is impossible."""
        failure = await super().connect()
        if self._stream is not None:
            self._stream.most_kept = _MOST_KEPT
        self._deframer = self._make_deframer()
        return failure

    async def open(self, session: Session) -> None:
        """Bring a session up.

        Raises:
            DlmsError: it does not come.
        """
        octets = session.open()
        if octets:
            await self._converse(session, octets, lambda _: session.ready)

    async def exchange(self, session: Session, message: bytes) -> bytes:
        """One message there, its answer back.

        Raises:
            DlmsError: there is none.
        """
        try:
            heard = await self._converse(session, session.send(message), lambda heard: heard.message is not None)
        except asyncio.CancelledError:
            self.close()  # the answer is under way, and nothing tells it from the next one
            raise
        return heard.message or b""

    def part(self, session: Session) -> None:
        """Say good-bye without waiting for an answer."""
        octets = session.close()
        if octets and self._stream is not None:
            self._stream.send(octets)

    async def _converse(self, session: Session, octets: bytes, done: Callable[[Heard], bool]) -> Heard:
        stream = self._stream
        if stream is None:
            raise Lost
        now_s = asyncio.get_running_loop().time
        ends_s = now_s() + self.longest_s
        polls, noise = 0, False
        stream.send(octets)
        while now_s() < ends_s:
            frames = await self._frames(stream, min(now_s() + self._timeout_s, ends_s))
            if frames is None:
                again = session.poll() if polls < _POLLS else b""
                if not again:
                    raise Noise("octets, and no frame among them") if noise else Silent("no answer")
                polls += 1
                stream.send(again)
                continue
            noise = not frames
            for frame in frames:
                heard = session.receive(frame)
                stream.send(heard.reply)
                if done(heard):
                    return heard
        raise Malformed(f"no end after {self.longest_s:g} s")

    async def _frames(self, stream: Stream, until_s: float) -> Sequence[Any] | None:
        """What came until then; ``None`` for nothing at all."""
        if await stream.wait(1, until_s):
            octets = bytes(stream.octets)
            stream.octets.clear()
            return self._deframer.feed(octets)
        if not stream.open:
            raise Lost(stream.failure)
        return self._deframer.give_up() or None
