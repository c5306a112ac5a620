"""Finds the meters of a DL/T 645 line: their addresses, then which map makes sense of what they say.

First everybody is asked for his address (13H, which needs a line with one meter). Where that is not enough, the import
register is asked of ever narrower groups; see ``address_search``. After each question the whole time in which a meter
may begin its answer is listened to, for one may be slower than another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from edge_agent.commissioning.address_search import AddressSearch, Ending
from edge_agent.commissioning.found import Found, FoundAddress
from edge_agent.commissioning.guess import TELLING, Guess, Heard, ranking
from edge_agent.commissioning.scan import Watcher
from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings, Dlt645SerialSettings
from edge_agent.drivers.dlt645.dlt645_driver import Dlt645Driver, Dlt645Meter
from edge_agent.drivers.dlt645.frame import (
    ADDRESS_DIGITS,
    ANY_METER,
    FRAME_OCTETS,
    PREAMBLE,
    READ_ADDRESS,
    Frame,
    address_question,
    next_frame,
    read_question,
)
from edge_agent.drivers.dlt645.link import make_dlt645_link
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.registry import Dlt645MeterSettings, ProfileShelf
from edge_agent.drivers.transport.endpoint import open_tcp
from edge_agent.drivers.transport.serial_port import open_port
from edge_agent.drivers.transport.stream_link import StreamLink
from metering.clock import Clock

_IMPORT: Final = "00010000"  # every meter has it
_WHOLE: Final = 6  # octets of an address
_PAUSE_CHARACTERS: Final = 30  # inside a crowd's answer
_LEAST_PAUSE_S: Final = 0.05
_LONGEST_ANSWERS: Final = 4  # of a crowd that speaks one after the other


class Ear(NamedTuple):
    """What came back to one question: who answered whole, and whether there were pieces."""

    addresses: tuple[str, ...]
    pieces: bool


def ear(octets: bytes) -> Ear:
    """What stands in everything that a line has delivered after a question; our own echo is passed over."""
    left = bytearray(octets)
    addresses: list[str] = []
    pieces = False
    while True:
        before = bytes(left)
        frame = next_frame(left)
        if frame is None:
            return Ear(tuple(addresses), pieces or bool(before.strip(PREAMBLE[:1])))
        skipped = before[: len(before) - len(left) - FRAME_OCTETS - len(frame.data)]
        pieces = pieces or bool(skipped.strip(PREAMBLE[:1]))
        if frame.from_meter:
            addresses.append(_who(frame))


def _who(frame: Frame) -> str:
    """The address inside an answer to 13H, where there is one; else the address in front."""
    told = frame.data[::-1].hex()
    return told if frame.function == READ_ADDRESS and len(frame.data) == _WHOLE and told.isdecimal() else frame.address


class AddressLine(StreamLink):
    """A line on which nobody knows who will answer."""

    def __init__(self, settings: Dlt645BusSettings) -> None:
        """Open nothing before ``connect``."""
        serial = isinstance(settings, Dlt645SerialSettings)
        super().__init__(partial(open_port, settings) if serial else partial(open_tcp, settings))  # type: ignore[arg-type]
        self._settings = settings

    async def ask(self, question: Frame) -> Ear | ReadFailure:
        """One question to whoever it concerns, and everything that comes back."""
        stream = self._stream
        if stream is None:
            return ReadFailure(Reason.LINK_LOST, "not connected")
        loop = asyncio.get_running_loop()
        pace = self._settings.pace
        pause_s = max(_PAUSE_CHARACTERS * pace.character_s, _LEAST_PAUSE_S)
        stream.octets.clear()
        stream.send(PREAMBLE + question.octets)
        end_s = loop.time() + pace.question_s + self._settings.timeout
        last_s = end_s + _LONGEST_ANSWERS * pace.longest_answer_s
        while (until_s := min(max(end_s, stream.heard_s + pause_s), last_s)) > loop.time():
            await stream.wait(len(stream.octets) + 1, until_s)
            if not stream.open:
                return stream.failure or ReadFailure(Reason.LINK_LOST, "closed under the question")
        return ear(bytes(stream.octets))


@dataclass
class Dlt645Scan:
    """A scan of one line with one speed; see ``scan.Scan``. With ``addresses`` nobody else is looked for."""

    line: Dlt645BusSettings
    addresses: Sequence[str]
    shelf: ProfileShelf
    clock: Clock
    found: list[Found] = field(default_factory=list)
    asked: int = 0
    clashes: list[str] = field(default_factory=list)
    ending: Ending | None = None
    _search: AddressSearch = field(default_factory=AddressSearch)

    @property
    def total(self) -> int:
        """Questions altogether, as far as is known now."""
        return len(self.addresses) or self._search.total

    @property
    def at_most_s(self) -> float:
        """How long it takes if nobody answers."""
        each_s = self.line.pace.question_s + self.line.timeout
        return (len(self.addresses) or 2) * each_s  # everybody is asked twice

    async def run(self, watcher: Watcher) -> ReadFailure | None:
        """Ask for addresses, then each meter found for what tells the maps apart."""
        heard: list[str] = []
        failure: ReadFailure | None = None
        try:
            failure = await self._look(heard, watcher)
            if heard:
                failure = await self._judge(heard, watcher) or failure
        finally:  # broken off: who answered was found, whatever his map
            judged = {one.address for one in self.found if isinstance(one, FoundAddress)}
            self.found += [FoundAddress(self.line, one, []) for one in heard if one not in judged]
        return failure

    async def _look(self, heard: list[str], watcher: Watcher) -> ReadFailure | None:
        """Fill ``heard`` with the addresses that answer."""
        line = AddressLine(self.line)
        try:
            if (failure := await line.connect()) is not None:
                return failure
            for address in self.addresses:
                answer = await line.ask(read_question(address, _IMPORT))
                if isinstance(answer, ReadFailure):
                    return answer
                heard += [address] if address in answer.addresses else []
                self._told(watcher, len(heard))
            return None if self.addresses else await self._search_all(line, heard, watcher)
        finally:
            line.close()

    async def _search_all(self, line: AddressLine, heard: list[str], watcher: Watcher) -> ReadFailure | None:
        search = self._search
        while (asked := search.question) is not None:
            answer = await line.ask(address_question() if asked == ANY_METER else read_question(asked, _IMPORT))
            if asked == ANY_METER and answer == Ear((), pieces=False):  # it may not know 13H
                answer = await line.ask(read_question(asked, _IMPORT))
            if isinstance(answer, ReadFailure):
                return answer
            whole = [one for one in answer.addresses if len(one) == ADDRESS_DIGITS and one.isdecimal()]
            search.heard(whole, pieces=answer.pieces)
            heard[:] = search.addresses
            self._told(watcher, len(heard))
        self.clashes, self.ending = search.clashes, search.ending
        return None

    def _told(self, watcher: Watcher, heard: int) -> None:
        self.asked += 1
        watcher.asked(self.asked, max(self.total, self.asked), heard)

    async def _judge(self, heard: Sequence[str], watcher: Watcher) -> ReadFailure | None:
        link = make_dlt645_link(self.line)
        try:
            for address in heard:
                if not link.connected and (failure := await link.connect()) is not None:
                    return failure
                guesses: list[Heard] = []
                for name in self.shelf.names_of(Dlt645MeterSettings):
                    profile = self.shelf.of_kind(Dlt645MeterSettings, name)
                    assert isinstance(profile, Dlt645Profile)  # noqa: S101 - what stands on that shelf
                    driver = Dlt645Driver(link, {name: Dlt645Meter(address, profile)}, self.clock)
                    outcome = await driver.read(name, TELLING & driver.offers(name))
                    guesses.append(Heard(name, outcome.values if isinstance(outcome, Reading) else {}))
                one = FoundAddress(self.line, address, _ranked(guesses))
                self.found.append(one)
                watcher.found(one)
        finally:
            link.close()
        return None


def _ranked(heard: Sequence[Heard]) -> list[Guess]:
    return ranking(one for one in heard if one.values)
