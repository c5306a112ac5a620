"""Reads the meters of one DL/T 645 line by their profiles: plan, ask identifier by identifier, decode.

What the meter refuses costs that value, not the others. Silence ends the read; what was heard before it is kept. The
meter's clock is read as a date and a time: the date once more if a day began between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from edge_agent.drivers.dlt645.data import decode, expected_octets, series_of_block, taken_apart
from edge_agent.drivers.dlt645.meter_memory import USUAL_INTERVAL_MS, MeterMemory
from edge_agent.drivers.dlt645.moment import clock_of
from edge_agent.drivers.dlt645.pace import LinePace
from edge_agent.drivers.dlt645.profile import CLOCK_OFFSET, Dlt645Profile
from edge_agent.drivers.dlt645.read_plan import Refusals, identifiers_for
from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from edge_agent.drivers.memory import Intervals, NewEvents
from edge_agent.drivers.transformers import transformer_ratio
from metering.clock import Clock
from metering.quantity import QUANTITIES
from metering.round import LARGEST, Quality

_DATE: Final = "04000101"
_TIME: Final = "04000102"
_TIME_OCTETS: Final = 3
_CLOCK_OCTETS: Final = (4, _TIME_OCTETS)
_DAY_HAS_BEGUN: Final = bytes.fromhex("000100")  # 00:01:00, hour first


class Link(Protocol):
    """What the driver needs of a line."""

    @property
    def pace(self) -> LinePace:
        """What time an exchange takes."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the connection stands."""
        ...

    async def connect(self) -> ReadFailure | None:
        """Open the connection."""
        ...

    async def read(self, address: str, identifier: str) -> bytes | ReadFailure:
        """Ask one meter for one identifier."""
        ...

    def close(self) -> None:
        """Drop the connection."""
        ...


@dataclass(frozen=True, slots=True)
class Dlt645Meter:
    """One meter on the line."""

    address: str  # 12 digits
    profile: Dlt645Profile
    ct_ratio: float = 1.0
    pt_ratio: float = 1.0

    def ratio(self, quantity: str) -> float:
        """What its value must be multiplied with to stand for the primary side."""
        return transformer_ratio(quantity, self.ct_ratio, self.pt_ratio)


class Dlt645Driver:
    """All meters of one line."""

    def __init__(self, link: Link, meters: Mapping[str, Dlt645Meter], clock: Clock) -> None:
        self._link = link
        self._meters = meters
        self._clock = clock
        self._refusals: dict[str, Refusals] = {}
        self._intervals_ms: dict[str, int] = {}

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        return self._link.connected

    async def connect(self) -> ReadFailure | None:
        """Open the line, and forget what was learned of the meters on it."""
        self._refusals.clear()
        return await self._link.connect()

    def close(self) -> None:
        """Let the line go."""
        self._link.close()

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's profile."""
        return self._meters[meter].profile.quantities

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Requests, values and line time of one read; a value of the clock counts as two."""
        octets = [expected_octets(identifier) for identifier in self._plan(meter, quantities)]
        values = sum(len(of) for of in self._plan(meter, quantities).values())
        if CLOCK_OFFSET in quantities & self.offers(meter):
            octets += _CLOCK_OCTETS
            values += len(_CLOCK_OCTETS)
        return Cost(len(octets), values, sum(map(self._link.pace.exchange_s, octets)))

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask for every identifier that holds one of the quantities."""
        of = self._meters[meter]
        wanted = quantities & self.offers(meter)
        taken = _Taken(dict.fromkeys(wanted))
        failure = await self._values(meter, of, taken, wanted)
        if CLOCK_OFFSET in wanted and (failure is None or failure.reason is Reason.EXCEPTION):
            outcome = await self._clock_offset(of, taken)
            failure = outcome if isinstance(outcome, ReadFailure) else failure
            if not isinstance(outcome, ReadFailure):
                taken.put(CLOCK_OFFSET, outcome)
        if failure is not None and not taken.answers:
            return failure
        quality = Quality.OUT_OF_RANGE if taken.dropped else GOOD
        if None in taken.values.values():
            quality |= Quality.PARTIAL
        return Reading(self._clock.now_ms(), taken.values, quality, taken.asked)

    async def _values(
        self, meter: str, of: Dlt645Meter, taken: _Taken, quantities: frozenset[str]
    ) -> ReadFailure | None:
        """Everything behind identifiers; the last failure, if there was one."""
        refusals = self._refusals.setdefault(meter, Refusals(self._clock.now_ms()))
        asked: deque[tuple[str, Mapping[str, str]]] = deque(self._plan(meter, quantities).items())
        failure: ReadFailure | None = None
        refused: list[tuple[str, int | None]] = []
        while asked:
            identifier, names = asked.popleft()
            answer = await self._ask(of, identifier, taken)
            if isinstance(answer, ReadFailure):
                failure = answer
                if answer.reason is not Reason.EXCEPTION:
                    break
                refused.append((identifier, answer.code))
                if series_of_block(identifier) is not None:
                    asked.extend((one, {one: name}) for one, name in names.items())
                continue
            found = taken_apart(identifier, answer)
            if found is None:
                failure = ReadFailure(Reason.GARBLED, f"{len(answer)} octets behind {identifier}")
                taken.answers -= 1
                break
            for one, name in names.items():
                if one in found:
                    self._take(of, one, name, found[one], taken)
        if taken.answers:  # who refuses everything has not lost single values
            for identifier, code in refused:
                refusals.refused(identifier, code)
        return failure

    async def _ask(self, of: Dlt645Meter, identifier: str, taken: _Taken) -> bytes | ReadFailure:
        """One identifier, counted."""
        answer = await self._link.read(of.address, identifier)
        taken.asked += 1
        taken.answers += not isinstance(answer, ReadFailure)
        return answer

    def _take(self, of: Dlt645Meter, identifier: str, name: str, octets: bytes, taken: _Taken) -> None:
        value = decode(identifier, octets)
        taken.dropped = taken.dropped or value.dropped
        if value.number is None:
            return
        entry = next(one for one in of.profile.values if one.quantity == name)
        number = value.number * of.ratio(name)
        low = entry.minimum is None or value.number >= entry.minimum
        high = entry.maximum is None or value.number <= entry.maximum
        if low and high and abs(number) * 10 ** QUANTITIES[name].decimals <= LARGEST:
            taken.put(name, number)
        else:
            taken.dropped = True

    async def _clock_offset(self, of: Dlt645Meter, taken: _Taken) -> float | ReadFailure | None:
        """The meter's clock less ours, s; ``None`` if the meter says no time."""
        date = await self._ask(of, _DATE, taken)
        time = date if isinstance(date, ReadFailure) else await self._ask(of, _TIME, taken)
        heard_ms = self._clock.now_ms()
        if not isinstance(time, ReadFailure) and time[::-1] < _DAY_HAS_BEGUN:
            date = await self._ask(of, _DATE, taken)
        if isinstance(date, ReadFailure):
            return date
        if isinstance(time, ReadFailure):
            return time
        told_ms = clock_of(date, time, of.profile.zone)
        if told_ms is None:
            taken.dropped = True
            return None
        said_ms = heard_ms - round(self._link.pace.answer_s(_TIME_OCTETS) * 1000)
        return round((told_ms - said_ms) / 1000)

    def interval_ms(self, meter: str) -> int | None:
        """How far apart its freezes stand."""
        kind = self._meters[meter].profile.freezes
        return None if kind is None else self._intervals_ms.get(meter, USUAL_INTERVAL_MS[kind])

    async def load_profile(self, meter: str, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        """The freezes between two instants."""
        found = await self._memory(meter).intervals(first_ms, last_ms)
        if isinstance(found, Intervals):
            self._intervals_ms[meter] = found.period_ms
        return found

    def keeps_log(self, meter: str) -> bool:
        """Whether its profile names event records."""
        return bool(self._meters[meter].profile.events)

    async def new_events(self, meter: str, mark: str) -> NewEvents | ReadFailure:
        """What was logged beyond the mark."""
        return await self._memory(meter).events(mark)

    async def set_clock(self, meter: str) -> ReadFailure | None:
        """Refused: whoever writes needs the meter's password and operator code, and we only read, without any."""
        del meter
        return ReadFailure(Reason.UNABLE, "a DL/T 645 meter takes a time only with its password; we hold none")

    def _memory(self, meter: str) -> MeterMemory:
        of = self._meters[meter]
        return MeterMemory(partial(self._link.read, of.address), of.profile, of.ratio("active_energy_import"))

    def _plan(self, meter: str, quantities: frozenset[str]) -> dict[str, Mapping[str, str]]:
        of = self._meters[meter]
        now_ms = self._clock.now_ms()
        refusals = self._refusals.get(meter)

        def useless(identifier: str) -> bool:
            return refusals is not None and refusals.known(identifier, now_ms)

        return identifiers_for(of.profile, quantities, useless, self._link.pace.exchange_s)


class _Taken:
    """What one read has given so far."""

    __slots__ = ("answers", "asked", "dropped", "values")

    def __init__(self, values: dict[str, float | None]) -> None:
        self.values = values
        self.dropped = False
        self.asked = 0
        self.answers = 0

    def put(self, quantity: str, number: float | None) -> None:
        """Note a number in our unit."""
        self.values[quantity] = number
