"""What a driver must do: one driver speaks to all meters of one bus, one request at a time.

A read gives a ``Reading`` or a ``ReadFailure``; it raises nothing. Who calls decides about repeating,
waiting and giving up.

What only some meters can do beside it stands in ``memory``: keep a history and a log, have their clock set.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, runtime_checkable

from metering.round import Quality

GOOD: Final = Quality(0)
"""Nothing is known against the row."""


class Reason(StrEnum):
    """Why a read failed, for people and logs. ``QUALITY_OF`` says what the row carries."""

    SILENT = "silent"  # no answer within the timeout
    NO_PUSH = "no_push"  # nothing that the meter should have sent by itself
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
    PORT_SETTINGS = "port_settings"  # the serial port does not do this speed or this parity
    NO_PERMISSION = "no_permission"
    PORT_TAKEN = "port_taken"  # another program holds the serial port
    UNPLUGGED = "unplugged"  # the serial port went away
    DECLINED = "declined"  # a DLMS meter refuses the association or the service; ``code`` may hold its number
    BREACH = "breach"  # an answer broke the rules of a protected association: forged, replayed, in the clear …
    NO_KEYS = "no_keys"  # keys, password or invocation counters cannot be used
    UNABLE = "unable"  # the meter has no such thing, or we do not do that with its kind


QUALITY_OF = {
    Reason.SILENT: Quality.NO_ANSWER,
    Reason.NO_PUSH: Quality.NO_ANSWER,
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
    Reason.PORT_SETTINGS: Quality.LINK_DOWN,
    Reason.NO_PERMISSION: Quality.LINK_DOWN,
    Reason.PORT_TAKEN: Quality.LINK_DOWN,
    Reason.UNPLUGGED: Quality.LINK_DOWN,
    Reason.DECLINED: Quality.REFUSED,
    Reason.BREACH: Quality.GARBLED,
    Reason.NO_KEYS: Quality.SUSPENDED,
    Reason.UNABLE: Quality.REFUSED,
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


@runtime_checkable
class Listens(Protocol):
    """A driver whose meters speak by themselves: it listens from the start, and each ``read`` takes what came."""

    async def connect(self) -> ReadFailure | None:
        """Begin to listen."""
        ...

    def newest(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """The last that came, for who only looks: it stays to be read."""
        ...
