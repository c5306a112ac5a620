"""The desk: whoever wants to see a meter now asks here, and its bus reads it between two polls.

A second master on a line garbles the answers of both, and many endpoints take one connection only. So while the agent
runs, it is the agent that is asked: by the technician through a socket beside the spool, by the centre with a command.
One question a line, one answer a line, in JSON: ``ReadCommand`` as over MQTT, and what ``questions`` holds besides.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from edge_agent.drivers.driver import ReadFailure, Reason
from edge_agent.drivers.memory import clock_set, history_of
from edge_agent.polling.bus import Bus
from edge_agent.polling.clock_watch import CLOCK_OFFSET
from edge_agent.questions import (
    LoadProfileQuestion,
    LoadProfileReply,
    Question,
    RowTold,
    SetClockQuestion,
    SetClockReply,
    question_of,
)
from metering.control import MAX_CONTROL_BYTES, ReadCommand, ReadReply, decode_control, encode_control
from metering.errors import DecodeError
from metering.log import log

Reply = TypeVar("Reply", bound=msgspec.Struct)

_LONGEST_QUESTION: Final = 4096
_PATIENCE_S: Final = 60.0  # a line with a dead meter on it is slow


def door_beside(spool: Path) -> Path:
    """Where the socket of the agent with this spool is."""
    return spool.with_name(spool.name + ".sock")


class Desk:
    """Answers questions about the meters of some buses."""

    def __init__(
        self, buses: Iterable[Bus], clock_told: Callable[[str, float | None], None] = lambda _meter, _offset_s: None
    ) -> None:
        """``clock_told`` takes every meter and offset (s) that an answer tells."""
        self._buses = {meter: bus for bus in buses for meter in bus.meters}
        self._clock_told = clock_told

    async def answer(self, command: ReadCommand) -> ReadReply:
        """Read the meter at once; a failure is a reply, too."""
        bus = self._buses.get(command.read)
        if bus is None:
            return ReadReply(command.id, command.read, failure=Reason.NOT_POLLED, detail=command.read)
        offered = bus.driver.offers(command.read)
        wanted = frozenset(command.quantities) & offered if command.quantities else offered
        if not wanted:
            return ReadReply(command.id, command.read, failure="unknown_quantity", detail=", ".join(sorted(offered)))
        started_s = time.monotonic()
        outcome = await bus.inquire(command.read, wanted)
        elapsed_ms = round((time.monotonic() - started_s) * 1000, 1)
        if isinstance(outcome, ReadFailure):
            return ReadReply(
                command.id,
                command.read,
                elapsed_ms=elapsed_ms,
                failure=outcome.reason,
                detail=outcome.detail,
                code=outcome.code,
            )
        if CLOCK_OFFSET in outcome.values:
            self._clock_told(command.read, outcome.values[CLOCK_OFFSET])
        return ReadReply(
            command.id,
            command.read,
            outcome.measured_at,
            outcome.values,
            int(outcome.quality),
            outcome.requests,
            elapsed_ms,
        )

    async def recall(self, asked: LoadProfileQuestion) -> LoadProfileReply:
        """Read a part of the meter's history between two polls."""
        meter = asked.load_profile
        bus = self._buses.get(meter)
        if bus is None:
            return LoadProfileReply(asked.id, meter, failure=Reason.NOT_POLLED, detail=meter)
        found = await bus.ask(meter, lambda: history_of(bus.driver, meter, asked.first_ms, asked.last_ms))
        if isinstance(found, ReadFailure):
            return LoadProfileReply(asked.id, meter, failure=found.reason, detail=found.detail, code=found.code)
        rows = tuple(RowTold(row.measured_at, int(row.quality), row.values) for row in found.rows)
        return LoadProfileReply(asked.id, meter, found.period_ms, rows)

    async def set_clock(self, asked: SetClockQuestion) -> SetClockReply:
        """Set the meter's clock between two polls; the log says so, whatever comes of it."""
        meter = asked.set_clock
        bus = self._buses.get(meter)
        if bus is None:
            return SetClockReply(asked.id, meter, failure=Reason.NOT_POLLED, detail=meter)
        failure = await bus.ask(meter, lambda: clock_set(bus.driver, meter))
        if failure is None:
            return SetClockReply(asked.id, meter)
        return SetClockReply(asked.id, meter, failure=failure.reason, detail=failure.detail, code=failure.code)

    @asynccontextmanager
    async def open_at(self, path: Path) -> AsyncIterator[None]:
        """Answer at a socket that only the agent's user and group can reach; without one if there cannot be one."""
        server = None
        try:
            door = _bound(path)
            server = await asyncio.start_unix_server(self._serve, sock=door, limit=_LONGEST_QUESTION)
        except OSError as error:
            log.warning("no_desk", path=str(path), why=str(error))
        try:
            yield
        finally:
            if server is not None:
                server.close()
                _remove(path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(encode_control(await self._answered(question_of(line))) + b"\n")
                await writer.drain()
        except (DecodeError, ValueError, ConnectionError) as error:
            log.warning("desk_question_unreadable", why=str(error))
        finally:
            writer.close()

    async def _answered(self, question: Question) -> msgspec.Struct:
        if isinstance(question, ReadCommand):
            return await self.answer(question)
        if isinstance(question, LoadProfileQuestion):
            return await self.recall(question)
        return await self.set_clock(question)


def _bound(path: Path) -> socket.socket:
    """The socket; one that a killed agent left behind is removed.

    Raises:
        OSError: somebody listens there, or the folder cannot be written.
    """
    with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise OSError("another agent listens there")
    door = socket.socket(socket.AF_UNIX)
    try:
        door.bind(os.fspath(path))
        path.chmod(0o660)
    except OSError:
        door.close()
        raise
    return door


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


async def is_open(path: Path) -> bool:
    """Whether an agent runs with this spool; if none does, the lines are free.

    Who may not ask cannot know that they are: a door that is closed to him counts as open.
    """
    try:
        return await has_agent(path)
    except PermissionError:
        return True


async def has_agent(path: Path) -> bool:
    """Whether somebody listens at a door.

    Raises:
        PermissionError: we may not ask.
    """
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except PermissionError:
        raise
    except OSError:
        return False
    writer.close()
    return True


async def ask_at(path: Path, command: ReadCommand) -> ReadReply:
    """Ask a running agent; a reply that does not come is one, too."""
    reply = await put_at(path, command, ReadReply)
    if isinstance(reply, ReadFailure):
        return ReadReply(command.id, command.read, failure=reply.reason, detail=reply.detail)
    return reply


async def put_at(path: Path, question: Question, kind: type[Reply]) -> Reply | ReadFailure:
    """Put a question to a running agent; the answer, or why there is none."""
    try:
        reader, writer = await asyncio.open_unix_connection(path, limit=MAX_CONTROL_BYTES)
    except PermissionError:
        return ReadFailure(Reason.NO_REPLY, f"{path}: not for this user → sudo")
    except OSError as error:
        return ReadFailure(Reason.NO_REPLY, str(error))
    try:
        writer.write(encode_control(question) + b"\n")
        async with asyncio.timeout(_PATIENCE_S):
            line = await reader.readline()
        return decode_control(line, kind)
    except (DecodeError, OSError, ValueError) as error:
        return ReadFailure(Reason.NO_REPLY, str(error))
    finally:
        writer.close()
