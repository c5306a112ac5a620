"""A serial line, on a port of this gateway or behind a serial server: RTU frames, one question at a time.

The line is half duplex: before a question it has been silent for 3.5 characters, or ``quiet``; after a failure for
longer, because adapters deliver in pieces. Which answer belongs to which question is decided by ``StreamOrder``; that
its account stays right, a question under way is shielded from cancellation.

Frames are found by their CRC wherever they begin: noise before one costs nothing. Our own question coming back, as it
does from adapters that hear themselves, is counted and skipped.
"""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusRtuSettings, ModbusRtuTcpSettings
from edge_agent.drivers.modbus.modbus_link import ModbusLink, where
from edge_agent.drivers.modbus.pymodbus_wall import READ_HOLDING, READ_INPUT, Answer, rtu_answer, rtu_question
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.modbus.stream_order import Fence, Question, StreamOrder, Verdict, Wait
from edge_agent.drivers.transport.stream import Stream
from edge_agent.drivers.transport.stream_link import Opening

_EXCEPTION_BIT: Final = 0x80
_ADDRESSED_OCTETS: Final = 5  # unit, function, length, CRC; an exception has just these
_FUNCTIONS: Final = frozenset((READ_HOLDING, READ_INPUT))
_LATE_TIMEOUTS: Final = 3  # how many time-outs after it was given up a question may still be answered
_PIECES_S: Final = 0.05  # USB adapters and serial servers deliver in pieces this far apart


class RtuLink(ModbusLink):
    """One line with its meters."""

    def __init__(self, settings: ModbusRtuSettings | ModbusRtuTcpSettings, opening: Opening) -> None:
        super().__init__(settings, opening)
        self.echoes_total = 0
        self._order = StreamOrder(_LATE_TIMEOUTS * settings.timeout_s(0))
        self._asked_s = 0.0
        self._failed = False
        self._under_way: asyncio.Task[list[int] | ReadFailure] | None = None

    async def _exchange(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        while self._under_way is not None and not self._under_way.done():
            await asyncio.wait({self._under_way})  # somebody was cancelled while he asked
        self._under_way = asyncio.create_task(self._read(unit, function, block), name="modbus read")
        return await asyncio.shield(self._under_way)

    async def _read(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        """Ask, and before that whatever proves that the answer will be the right one."""
        question = Question(unit, function, block.count)
        loop = asyncio.get_running_loop()
        while True:
            match self._order.before(question, loop.time()):
                case None:
                    return await self._ask(question, block)
                case Wait(until_s):
                    await asyncio.sleep(until_s - loop.time())
                case Fence(count):
                    short = Span(block.address, count)
                    failed = await self._ask(Question(unit, function, count), short, fence=True)
                    if isinstance(failed, ReadFailure) and failed.reason is not Reason.EXCEPTION:
                        return failed

    async def _ask(self, question: Question, block: Span, *, fence: bool = False) -> list[int] | ReadFailure:
        """One exchange."""
        stream = self._stream
        if stream is None:
            return ReadFailure(Reason.LINK_LOST, "not connected")
        loop = asyncio.get_running_loop()
        timeout_s = self._settings.timeout_s(block.count)
        if not await self._silence(stream, loop.time() + timeout_s):
            return ReadFailure(Reason.NOISE, "the line is never silent")
        stream.octets.clear()
        frame = rtu_question(question.unit, question.function, block.address, block.count)
        stream.send(frame)
        self._asked_s = loop.time()
        self._order.asked(question)
        outcome = await self._listen(stream, frame, question, block, self._asked_s + timeout_s)
        self._failed = isinstance(outcome, ReadFailure) and outcome.reason is not Reason.EXCEPTION
        if self._failed:
            self._order.given_up(loop.time(), fence=fence)
        return outcome

    async def _silence(self, stream: Stream, until_s: float) -> bool:
        """Wait until the line has been silent long enough; false if it never is."""
        loop = asyncio.get_running_loop()
        pace = self.pace
        silence_s = max(pace.silence_s, _PIECES_S) if self._failed else pace.silence_s
        while (free_s := max(stream.heard_s, self._asked_s) + silence_s) > (now_s := loop.time()):
            if now_s >= until_s:
                return False
            await asyncio.sleep(free_s - now_s)
        return True

    async def _listen(
        self, stream: Stream, asked: bytes, question: Question, block: Span, until_s: float
    ) -> list[int] | ReadFailure:
        """Take frames out of the stream until one answers the question."""
        loop = asyncio.get_running_loop()
        noise = False
        wanted = _ADDRESSED_OCTETS
        while await stream.wait(wanted, until_s):
            if (at := stream.octets.find(asked)) >= 0:
                self.echoes_total += 1
                del stream.octets[: at + len(asked)]
            while (answer := _next_frame(stream.octets)) is not None:
                count = len(answer.registers) if answer.code is None else None
                verdict = self._order.heard(answer.unit, answer.function, count, loop.time())
                if verdict is Verdict.ANSWER:
                    return answer.registers
                if verdict is Verdict.EXCEPTION:
                    detail = f"exception {answer.code} from {where(question.unit, block)}"
                    return ReadFailure(Reason.EXCEPTION, detail, answer.code)
                if verdict is Verdict.MISFIT:
                    return ReadFailure(Reason.GARBLED, f"{count} registers from {where(question.unit, block)}")
            noise = bool(stream.octets)
            wanted = _wanted(stream.octets, question)
        if self._order.doubted:
            detail = f"an exception, perhaps to an earlier question, from {where(question.unit, block)}"
            return ReadFailure(Reason.GARBLED, detail)
        return self._no_answer(stream, where(question.unit, block), noise=noise or bool(stream.octets))


def _next_frame(octets: bytearray) -> Answer | None:
    """The first whole and undamaged answer in what has arrived; what stood before it is thrown away with it."""
    for at in range(len(octets) - _ADDRESSED_OCTETS + 1):
        if octets[at + 1] & ~_EXCEPTION_BIT not in _FUNCTIONS:
            continue
        end = at + _size(octets, at)
        if end <= len(octets) and (answer := rtu_answer(bytes(octets[at:end]))) is not None:
            del octets[:end]
            return answer
    return None


def _size(octets: bytearray, at: int) -> int:
    """How long the frame would be if one began here."""
    return _ADDRESSED_OCTETS if octets[at + 1] & _EXCEPTION_BIT else _ADDRESSED_OCTETS + octets[at + 2]


def _wanted(octets: bytearray, question: Question) -> int:
    """How many octets must be there before it is worth looking again."""
    if len(octets) < _ADDRESSED_OCTETS:
        return _ADDRESSED_OCTETS
    if octets[:3] == bytes((question.unit, question.function, 2 * question.count)):
        return max(len(octets) + 1, _size(octets, 0))
    return len(octets) + 1
