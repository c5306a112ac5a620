"""A Modbus TCP bus, in the clear or inside TLS: the transaction number says which answer belongs to which question."""

from __future__ import annotations

import asyncio
from typing import Final

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.modbus.modbus_link import ModbusLink, where
from edge_agent.drivers.modbus.pymodbus_wall import MBAP_OCTETS, mbap_answer, mbap_question
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.transport.stream import Stream

_BEFORE_UNIT: Final = 6  # octets of the header that its length does not count
_LENGTHS: Final = range(3, 255)  # unit, function and at least one octet; at most one PDU


class MbapLink(ModbusLink):
    """One TCP connection to one endpoint."""

    _transaction = 0

    async def _exchange(self, unit: int, function: int, block: Span) -> list[int] | ReadFailure:
        stream = self._stream
        if stream is None:
            return ReadFailure(Reason.LINK_LOST, "not connected")
        stream.octets.clear()  # the rest of a broken answer, or two octets of CRC behind a good one
        self._transaction = self._transaction % 0xFFFF + 1
        stream.send(mbap_question(self._transaction, unit, function, block.address, block.count))
        until_s = asyncio.get_running_loop().time() + self._settings.timeout_s(block.count)
        noise = False
        while True:
            frame = await self._frame(stream, until_s)
            if frame is None:
                return self._no_answer(stream, where(unit, block), noise=noise)
            answer = mbap_answer(frame) if frame else None
            if answer is None:
                noise = True
            elif (answer.transaction, answer.unit) == (self._transaction, unit):
                if answer.code is not None and answer.function == function:
                    detail = f"exception {answer.code} from {where(unit, block)}"
                    return ReadFailure(Reason.EXCEPTION, detail, answer.code)
                if answer.function != function or len(answer.registers) != block.count:
                    return ReadFailure(Reason.GARBLED, f"{len(answer.registers)} registers from {where(unit, block)}")
                return answer.registers

    async def _frame(self, stream: Stream, until_s: float) -> bytes | None:
        """The next frame with its header; empty if it was none; ``None``: too late."""
        if not await stream.wait(MBAP_OCTETS, until_s):
            return None
        header = stream.octets
        length = header[4] << 8 | header[5]
        if header[2] or header[3] or length not in _LENGTHS:
            stream.octets.clear()  # nobody knows where the next frame begins: take the next piece that arrives
            return b""
        size = _BEFORE_UNIT + length
        if not await stream.wait(size, until_s):
            return None
        frame = bytes(stream.octets[:size])
        del stream.octets[:size]
        return frame
