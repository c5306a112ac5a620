"""Reads the meters of one DLMS line by their profiles: one list of attributes a read, scaled as the meter says.

A value that the meter denies costs that value, not the others. Every other failure ends the association with that
meter; where nothing tells a late answer from the next one, it ends the connection, too. Breaches of protection are
counted by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

from edge_agent.drivers.dlms.client import Access, DlmsClient
from edge_agent.drivers.dlms.clock import CosemTime, DeviationSign
from edge_agent.drivers.dlms.clock_setting import set_time
from edge_agent.drivers.dlms.errors import Breach, Declined, DlmsError, Lost, Malformed, Noise, Silent, Spent, Untrusted
from edge_agent.drivers.dlms.event_log import LogMark, read_log
from edge_agent.drivers.dlms.link import DlmsLink
from edge_agent.drivers.dlms.load_profile import Row, Window
from edge_agent.drivers.dlms.profile import CLOCK_OFFSET, DlmsProfile
from edge_agent.drivers.dlms.values import Known, Question, Taken, read, read_intervals
from edge_agent.drivers.dlms.xdlms import Attribute
from edge_agent.drivers.driver import GOOD, Cost, ReadFailure, Reading, Reason
from edge_agent.drivers.memory import IntervalRow, Intervals, LoggedEvent, NewEvents
from metering.clock import Clock
from metering.errors import StopAndFix
from metering.round import Quality

_CLOCK_CLASS: Final = 8
_USUAL_INTERVAL_MS: Final = 900_000
_QUESTION_OCTETS: Final = 10  # of one attribute
_ANSWER_OCTETS: Final = 8
_AROUND_OCTETS: Final = 60  # frame, seal and head of a message, about

_REASONS: Final[dict[type[Exception], Reason]] = {
    Noise: Reason.NOISE,
    Silent: Reason.SILENT,
    Lost: Reason.LINK_LOST,
    Malformed: Reason.GARBLED,
    Untrusted: Reason.BREACH,
    Declined: Reason.DECLINED,
    Spent: Reason.NO_KEYS,
    StopAndFix: Reason.NO_KEYS,
}


@dataclass(frozen=True, slots=True)
class DlmsMeter:
    """One meter on the line."""

    profile: DlmsProfile
    access: Access
    zone: tzinfo
    sign: DeviationSign = "utc_minus_local"
    ratios: tuple[float, float] = (1.0, 1.0)  # of current and voltage transformers


@dataclass(frozen=True, slots=True)
class LineTime:
    """What an exchange costs."""

    turnaround_s: float
    character_s: float = 0.0


class DlmsDriver:
    """All meters of one line."""

    def __init__(
        self,
        link: DlmsLink,
        meters: Mapping[str, DlmsMeter],
        clock: Clock,
        line_time: LineTime,
        *,
        outlasts_silence: bool = False,
    ) -> None:
        """Take a line and its meters.

        Args:
            link: the line.
            meters: by name.
            clock: what time it is.
            line_time: what an exchange costs.
            outlasts_silence: whether the connection does: HDLC tells a late answer from the next one.
        """
        self.breaches: Counter[Breach] = Counter()
        self._link = link
        self._meters = meters
        self._clock = clock
        self._line_time = line_time
        self._outlasts_silence = outlasts_silence
        self._clients = {name: DlmsClient(link, meter.access) for name, meter in meters.items()}
        self._known: dict[str, Known] = {}
        self._intervals_ms: dict[str, int] = {}

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        return self._link.connected

    async def connect(self) -> ReadFailure | None:
        """Open the line."""
        self._forget_all()
        return await self._link.connect()

    def close(self) -> None:
        """Let every association and the line go."""
        for client in self._clients.values():
            client.part()
        self._link.close()

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity of the meter's profile."""
        return self._meters[meter].profile.quantities

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """Questions, attributes and line time of one read, once the association stands."""
        profile = self._meters[meter].profile
        items = len(quantities & profile.quantities)
        requests = -(-items // profile.longest_list)
        octets = items * (_QUESTION_OCTETS + _ANSWER_OCTETS) + 2 * requests * _AROUND_OCTETS
        time = self._line_time
        return Cost(requests, items, requests * time.turnaround_s + octets * time.character_s)

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask for the values of these quantities, and for what is needed to understand them."""
        of = self._meters[meter]
        question = Question(
            of.profile.wanted(quantities),
            of.ratios,
            Attribute(_CLOCK_CLASS, of.profile.clock, 2) if of.profile.clock and CLOCK_OFFSET in quantities else None,
            of.zone,
            of.sign,
        )
        client = self._clients[meter]
        try:
            taken = await client.converse(lambda reader: read(reader, question, self._known_of(meter).scalers))
        except (DlmsError, StopAndFix) as error:
            return self._failure(error)
        return self._reading(taken, quantities & of.profile.quantities, self.cost(meter, quantities).requests)

    def interval_ms(self, meter: str) -> int | None:
        """How far apart the rows of the meter's load profile stand: as it said last, or as most do."""
        profile = self._meters[meter].profile.load_profile
        return None if profile is None else self._intervals_ms.get(meter, _USUAL_INTERVAL_MS)

    async def load_profile(self, meter: str, first_ms: int, last_ms: int) -> Intervals | ReadFailure:
        """The rows of the meter's load profile between two instants."""
        of = self._meters[meter]
        profile = of.profile.load_profile
        if profile is None:
            return ReadFailure(Reason.UNABLE, "its profile names no load profile")
        question = Question(of.profile.objects, of.ratios)
        window = Window(_moment(first_ms), _moment(last_ms), self._now(), of.zone, of.sign)
        try:
            period_s, found = await self._clients[meter].converse(
                lambda reader: read_intervals(reader, profile, window, question, self._known_of(meter))
            )
        except (DlmsError, StopAndFix) as error:
            return self._failure(error)
        if period_s:
            self._intervals_ms[meter] = period_s * 1000
        return Intervals(
            self.interval_ms(meter) or _USUAL_INTERVAL_MS,
            tuple(
                IntervalRow(_ms(row.at), taken.values, _row_quality(row, taken))
                for row, taken in sorted(found, key=lambda one: one[0].at)
            ),
        )

    def keeps_log(self, meter: str) -> bool:
        """Whether its profile names an event log."""
        return self._meters[meter].profile.event_log is not None

    async def new_events(self, meter: str, mark: str) -> NewEvents | ReadFailure:
        """The known events of the meter's log beyond the mark."""
        of = self._meters[meter]
        log = of.profile.event_log
        if log is None:
            return ReadFailure(Reason.UNABLE, "its profile names no event log")
        try:
            said = await self._clients[meter].converse(
                lambda reader: read_log(reader, log, LogMark.of(mark), self._now(), (of.zone, of.sign))
            )
        except (DlmsError, StopAndFix) as error:
            return self._failure(error)
        events = tuple(LoggedEvent(_ms(at), event) for at, event in said.events)
        return NewEvents(events, str(said.mark), said.missed, said.unknown, said.more)

    async def set_clock(self, meter: str) -> ReadFailure | None:
        """Set the meter's clock to ours, on a connection of its own: what may set does not outlive the setting."""
        of = self._meters[meter]
        if of.profile.clock is None:
            return ReadFailure(Reason.UNABLE, "its profile names no clock")
        time = Attribute(_CLOCK_CLASS, of.profile.clock, 2)
        self.close()
        failure = await self.connect()
        if failure is not None:
            return failure
        try:
            await self._clients[meter].change(lambda reader: set_time(reader, time, self._now, of.zone, of.sign))
        except (DlmsError, StopAndFix) as error:
            return self._failure(error)
        finally:
            self.close()
        return None

    def _now(self) -> datetime:
        return _moment(self._clock.now_ms())

    def _known_of(self, meter: str) -> Known:
        """What is known in the association at hand."""
        association = self._clients[meter].associations_total
        if meter not in self._known or self._known[meter].association != association:
            self._known[meter] = Known(association)
        return self._known[meter]

    def _reading(self, taken: Taken, asked: frozenset[str], requests: int) -> Reading:
        now_ms = self._clock.now_ms()
        values = taken.values
        if CLOCK_OFFSET in asked:
            values[CLOCK_OFFSET] = _offset_s(taken.time, now_ms)
        quality = Quality.OUT_OF_RANGE if taken.dropped else GOOD
        if None in values.values():
            quality |= Quality.PARTIAL
        return Reading(now_ms, values, quality, requests)

    def _failure(self, error: Exception) -> ReadFailure:
        if isinstance(error, Untrusted):
            self.breaches[error.breach] += 1
        silent = isinstance(error, Silent) and self._outlasts_silence
        if not silent and not isinstance(error, Declined | Spent | StopAndFix):
            self._forget_all()
            self._link.close()
        if isinstance(error, Lost) and error.failure is not None:
            return error.failure
        reason = next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))
        return ReadFailure(reason, str(error), error.code if isinstance(error, Declined) else None)

    def _forget_all(self) -> None:
        for client in self._clients.values():
            client.forget()


def _row_quality(row: Row, taken: Taken) -> Quality:
    quality = GOOD if row.flags.trusted else Quality.METER_CLOCK_OFF
    if taken.dropped:
        quality |= Quality.OUT_OF_RANGE
    return quality | Quality.PARTIAL if None in taken.values.values() else quality


def _moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _offset_s(time: CosemTime | None, now_ms: int) -> float | None:
    """How far the meter's clock is ahead, in whole seconds; nothing if the meter doubts it itself."""
    if time is None or time.at is None or not time.flags.trusted:
        return None
    return float(round(time.at.timestamp() - now_ms / 1000))
