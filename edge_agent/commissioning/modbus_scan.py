"""Finds the meters of a line, one request at a time: who answers at all, and which map makes sense of what they say.

An exception is an answer too: somebody is there. Only codes 10 and 11 are not: a gateway says with them that behind it
nobody answered. A unit that answers is read with every map there is, unless its identity registers tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.commissioning.found import Found, FoundUnit
from edge_agent.commissioning.guess import TELLING, Guess, Heard, ranking
from edge_agent.commissioning.scan import Watcher
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import Link, ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile
from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.drivers.registry import ProfileShelf
from metering.clock import Clock

_QUESTION: Final = Span(0, 2)
_HOLDING: Final = 3
_NOBODY_BEHIND: Final = (10, 11)
_GONE: Final = (Reason.LINK_LOST, Reason.UNPLUGGED)


@dataclass
class ModbusScan:
    """A scan of one line with one speed; see ``scan.Scan``."""

    line: ModbusBusSettings
    units: Sequence[int]
    shelf: ProfileShelf
    clock: Clock
    found: list[Found] = field(default_factory=list)
    asked: int = 0

    @property
    def total(self) -> int:
        """Units to ask."""
        return len(self.units)

    @property
    def at_most_s(self) -> float:
        """How long it takes if nobody answers."""
        return len(self.units) * (self.line.timeout_s(_QUESTION.count) + self.line.pace.silence_s)

    async def run(self, watcher: Watcher) -> ReadFailure | None:
        """Ask every unit; why the line could not be used, if it could not."""
        link = make_link(self.line)
        try:
            for unit in self.units:
                if not link.connected and (failure := await link.connect()) is not None:
                    return failure
                if await self._answers(link, unit):
                    one = FoundUnit(self.line, unit, await self._guesses(link, unit))
                    self.found.append(one)
                    watcher.found(one)
                self.asked += 1
                watcher.asked(self.asked, len(self.units), len(self.found))
        finally:
            link.close()
        return None

    async def _answers(self, link: Link, unit: int) -> bool:
        answer = await link.read(unit, _HOLDING, _QUESTION)
        if isinstance(answer, ReadFailure) and answer.reason in _GONE:
            if await link.connect() is not None:
                return False
            answer = await link.read(unit, _HOLDING, _QUESTION)
        if not isinstance(answer, ReadFailure):
            return True
        return answer.reason is Reason.EXCEPTION and answer.code not in _NOBODY_BEHIND

    async def _guesses(self, link: Link, unit: int) -> list[Guess]:
        heard = []
        for name, profile in self._profiles():
            identity = await _identity(link, unit, profile)
            driver = ModbusDriver(link, {name: ModbusMeter(unit, profile)}, self.clock)
            outcome = await driver.read(name, TELLING & driver.offers(name)) if identity is not False else None
            values = outcome.values if isinstance(outcome, Reading) else {}
            heard.append(Heard(name, values, identity))
            if identity and values:
                break
        return ranking(heard)

    def _profiles(self) -> Iterator[tuple[str, Profile]]:
        """Maps that can identify themselves first."""
        named = [(name, self.shelf.profile(name)) for name in self.shelf.names]
        yield from sorted(named, key=lambda one: (not one[1].identity, one[0]))


async def _identity(link: Link, unit: int, profile: Profile) -> bool | None:
    """Whether one of the identity registers fits; ``None`` if none could be read."""
    read = False
    for one in profile.identity:
        answer = await link.read(unit, profile.function_of(one), one.span)
        if isinstance(answer, ReadFailure):
            continue
        read = True
        if one.fits(answer):
            return True
    return False if read else None
