"""What a driver must do: one driver speaks to all meters of one bus, one request at a time.

A read gives a ``Reading`` or a ``ReadFailure``; it raises nothing. Who calls decides about repeating,
waiting and giving up.

What only some meters can do is a protocol of its own: keep frozen registers, keep a log of events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from metering.meter_event import MeterEvent
from metering.round import Quality

GOOD: Final = Quality(0)
"""Nothing is known against the row."""


class Reason(StrEnum):
    """Why a read failed, for people and logs. ``QUALITY_OF`` says what the row carries."""

    SILENT = "silent"  # no answer within the timeout
    EXCEPTION = "exception"  # a protocol exception; ``code`` holds its number
    GARBLED = "garbled"  # an answer that does not fit the question
    NOISE = "noise"  # octets came, and no answer among them
    LINK_LOST = "link_lost"  # the connection broke under the request
    REFUSED = "refused"  # the host is there, nothing listens on the port
    UNKNOWN_HOST = "unknown_host"
    UNREACHABLE = "unreachable"  # no route, or the host does not react
    TOO_MANY = "too_many"  # too many wait for the line already
    NOT_POLLED = "not_polled"  # the running agent does not know the meter
    NO_REPLY = "no_reply"  # the running agent did not answer
    UNTRUSTED = "untrusted"  # the endpoint's certificate is not good, or our own files are not
    TLS_REFUSED = "tls_refused"  # the endpoint ends the handshake
    NO_PORT = "no_port"  # there is no such serial port
    NO_PERMISSION = "no_permission"
    PORT_TAKEN = "port_taken"  # another program holds the serial port
    UNPLUGGED = "unplugged"  # the serial port went away
    DECLINED = "declined"  # a DLMS meter refuses the association or the service; ``code`` may hold its number
    BREACH = "breach"  # an answer broke the rules of a protected association: forged, replayed, in the clear …
    NO_KEYS = "no_keys"  # keys, password or invocation counters cannot be used


QUALITY_OF = {
    Reason.SILENT: Quality.NO_ANSWER,
    Reason.EXCEPTION: Quality.REFUSED,
    Reason.GARBLED: Quality.GARBLED,
    Reason.NOISE: Quality.GARBLED,
    Reason.LINK_LOST: Quality.LINK_DOWN,
    Reason.REFUSED: Quality.LINK_DOWN,
    Reason.UNKNOWN_HOST: Quality.LINK_DOWN,
    Reason.UNREACHABLE: Quality.LINK_DOWN,
    Reason.TOO_MANY: Quality.SUSPENDED,
    Reason.NOT_POLLED: Quality.SUSPENDED,
    Reason.NO_REPLY: Quality.SUSPENDED,
    Reason.UNTRUSTED: Quality.LINK_DOWN,
    Reason.TLS_REFUSED: Quality.LINK_DOWN,
    Reason.NO_PORT: Quality.LINK_DOWN,
    Reason.NO_PERMISSION: Quality.LINK_DOWN,
    Reason.PORT_TAKEN: Quality.LINK_DOWN,
    Reason.UNPLUGGED: Quality.LINK_DOWN,
    Reason.DECLINED: Quality.REFUSED,
    Reason.BREACH: Quality.GARBLED,
    Reason.NO_KEYS: Quality.SUSPENDED,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """What one meter said, in the units of ``metering.quantity``."""

    measured_at: int  # ms since 1970 UTC, when the last answer came
    values: dict[str, float | None]  # every quantity asked; None where there is no usable value
    quality: Quality = GOOD
    requests: int = 0


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """Why there are no values."""

    reason: Reason
    detail: str = ""
    code: int | None = None  # of a protocol exception

    @property
    def quality(self) -> Quality:
        """The bit the row carries."""
        return QUALITY_OF[self.reason]

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


class Cost(NamedTuple):
    """What reading one meter once puts on the line."""

    requests: int
    registers: int  # used or not
    line_s: float  # how long the line is held, as reckoned from its speed


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One row of a meter's own history, in the units of ``metering.quantity``."""

    measured_at: int  # ms since 1970 UTC, as the meter's clock said
    values: dict[str, float | None]
    clock_trusted: bool  # whether the meter itself trusted its clock then


class LoadProfiles(Protocol):
    """What a driver can do besides if its meters keep a history."""

    async def load_profile(self, meter: str, first_ms: int, last_ms: int) -> list[IntervalRow] | ReadFailure:
        """The rows between two instants, both with them, oldest first."""
        ...


class EventLogs(Protocol):
    """What a driver can do besides if its meters keep a log of what happened to them."""

    async def meter_events(self, meter: str, first_ms: int, last_ms: int) -> list[tuple[int, MeterEvent]] | ReadFailure:
        """Instants (ms since 1970 UTC) and known events between two instants, oldest first."""
        ...


class Driver(Protocol):
    """All meters of one bus."""

    @property
    def connected(self) -> bool:
        """Whether the line is open."""
        ...

    async def connect(self) -> ReadFailure | None:
        """Open the line; ``None`` means that it is open."""
        ...

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Read one meter; quantities its profile does not offer are left out."""
        ...

    def offers(self, meter: str) -> frozenset[str]:
        """Every quantity the meter's profile has."""
        ...

    def cost(self, meter: str, quantities: frozenset[str]) -> Cost:
        """What ``read`` would put on the line."""
        ...

    def close(self) -> None:
        """Let the line go; ``connect`` may follow."""
        ...


class Freeze(NamedTuple):
    """The registers of a meter as they stood at an instant, kept by the meter itself."""

    at: int  # ms since 1970 UTC, by the meter's clock
    values: dict[str, float | None]


class FreezesRegisters(Protocol):
    """A driver whose meters keep their registers of past instants."""

    async def read_freezes(self, meter: str, newest: int) -> list[Freeze] | ReadFailure:
        """The newest so many freezes, oldest first; fewer if the meter has fewer."""
        ...


class LoggedEvent(NamedTuple):
    """One entry of a meter's own log."""

    at: int  # ms since 1970 UTC, by the meter's clock
    event: MeterEvent


@dataclass(frozen=True, slots=True)
class NewEvents:
    """What a meter has logged since it was asked last."""

    events: tuple[LoggedEvent, ...]  # by time
    counts: dict[str, int]  # by kind of record: how many there ever were, for the next time
    missed: dict[str, int]  # by kind: records that the meter has overwritten already


class CountsEvents(Protocol):
    """A driver whose meters keep a log of events."""

    async def read_events(self, meter: str, counts: Mapping[str, int]) -> NewEvents | ReadFailure:
        """What was logged since ``counts``, which the last answer gave; empty: all that the meter still has."""
        ...
