"""A line of DL/T 645 meters, on a port of this gateway or behind a serial server: one question at a time.

Which frame answers is decided by ``AnswerOrder``; that its account stays right, a question under way is shielded from
cancellation. An answer in several frames is asked for to its end and given as one. After a failure the line has to be
silent for ``quiet`` before anybody asks again: a meter that pauses inside a frame has then ended it.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from edge_agent.drivers.dlt645.answer_order import AnswerOrder, Asked, Verdict
from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings, Dlt645SerialSettings
from edge_agent.drivers.dlt645.frame import (
    PREAMBLE,
    READ,
    READ_FOLLOW_ON,
    Frame,
    identifier_octets,
    next_frame,
    read_question,
)
from edge_agent.drivers.dlt645.pace import LinePace
from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.transport.endpoint import open_tcp
from edge_agent.drivers.transport.serial_port import open_port
from edge_agent.drivers.transport.stream import Stream
from edge_agent.drivers.transport.stream_link import Opening, StreamLink

_BETWEEN_S: Final = 0.02  # a meter hears no sooner than it would answer
_MOST_FRAMES: Final = 16
_IDENTIFIER: Final = 4


class Dlt645Link(StreamLink):
    """One line with its meters."""

    def __init__(self, settings: Dlt645BusSettings, opening: Opening) -> None:
        """Open nothing before ``connect``, and take a fresh connection each time."""
        super().__init__(opening)
        self.echoes_total = 0
        self._settings = settings
        self._order = AnswerOrder(settings.timeout)
        self._failed = False
        self._asked_s = 0.0
        self._under_way: asyncio.Task[bytes | ReadFailure] | None = None

    @property
    def pace(self) -> LinePace:
        """What time an exchange takes."""
        return self._settings.pace

    async def read(self, address: str, identifier: str) -> bytes | ReadFailure:
        """Ask one meter for one identifier; what stands behind it in the answer, or why there is none."""
        while self._under_way is not None and not self._under_way.done():
            await asyncio.wait({self._under_way})  # somebody was cancelled while he asked
        self._under_way = asyncio.create_task(self._read(address, identifier), name="dlt645 read")
        return await asyncio.shield(self._under_way)

    async def _read(self, address: str, identifier: str) -> bytes | ReadFailure:
        frame = await self._exchange(Asked(address, READ, identifier))
        if isinstance(frame, ReadFailure):
            return frame
        data = frame.data[_IDENTIFIER:]
        number = 0
        while frame.more:
            number += 1
            if number >= _MOST_FRAMES:
                return ReadFailure(
                    Reason.GARBLED, f"more than {_MOST_FRAMES} frames from {_where(address, identifier)}"
                )
            frame = await self._exchange(Asked(address, READ_FOLLOW_ON, identifier, number))
            if isinstance(frame, ReadFailure):
                return frame
            data += frame.data[_IDENTIFIER:-1]
        return data

    async def _exchange(self, asked: Asked) -> Frame | ReadFailure:
        """One question and one frame of answer."""
        stream = self._stream
        if stream is None:
            return ReadFailure(Reason.LINK_LOST, "not connected")
        loop = asyncio.get_running_loop()
        where = _where(asked.address, asked.identifier)
        if (wait_s := self._order.free_at_s(asked) - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if not await self._silence(stream):
            return ReadFailure(Reason.NOISE, "the line is never silent")
        stream.octets.clear()
        stream.send(PREAMBLE + read_question(asked.address, asked.identifier, asked.number).octets)
        self._asked_s = loop.time()
        self._order.ask(asked)
        outcome = await self._listen(stream, where)
        self._failed = isinstance(outcome, ReadFailure) and outcome.reason is not Reason.EXCEPTION
        if self._failed:
            self._order.given_up(loop.time())
        return outcome

    async def _silence(self, stream: Stream) -> bool:
        """Wait until the line has been silent long enough; false if it never is."""
        loop = asyncio.get_running_loop()
        silence_s = max(_BETWEEN_S, self._settings.quiet if self._failed else 0.0)
        until_s = loop.time() + silence_s + self._settings.timeout
        while (free_s := max(stream.heard_s, self._asked_s) + silence_s) > (now_s := loop.time()):
            if now_s >= until_s:
                return False
            await asyncio.sleep(free_s - now_s)
        return True

    async def _listen(self, stream: Stream, where: str) -> Frame | ReadFailure:
        """Take frames out of the stream until one answers the question."""
        loop = asyncio.get_running_loop()
        begin_s = self._asked_s + self.pace.question_s + self._settings.timeout
        end_s = begin_s + self.pace.longest_answer_s
        wanted = 1
        while await stream.wait(wanted, end_s if stream.octets else begin_s):
            while (frame := next_frame(stream.octets)) is not None:
                match self._order.heard(frame, loop.time()):
                    case Verdict.ANSWER:
                        return frame
                    case Verdict.REFUSAL:
                        code = frame.data[0] if frame.data else 0
                        return ReadFailure(Reason.EXCEPTION, f"error word {code:02X}H from {where}", code)
                    case Verdict.ECHO:
                        self.echoes_total += 1
            wanted = len(stream.octets) + 1
        if stream.open and self._order.doubted:
            return ReadFailure(Reason.GARBLED, f"a refusal, perhaps of an earlier question, from {where}")
        return self._no_answer(stream, where, noise=bool(stream.octets))


def make_dlt645_link(settings: Dlt645BusSettings) -> Dlt645Link:
    """A link for the bus; it opens nothing before ``connect``."""
    if isinstance(settings, Dlt645SerialSettings):
        return Dlt645Link(settings, partial(open_port, settings))
    return Dlt645Link(settings, partial(open_tcp, settings))


def _where(address: str, identifier: str) -> str:
    """What was asked, for people."""
    octets = identifier_octets(identifier)[::-1].hex(" ").upper()
    return f"meter {address}, identifier {octets}"
