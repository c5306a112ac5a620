"""The small JSON messages beside the rounds: acknowledgement and status.

All are retained, so that whoever connects knows at once how things stand. Unknown keys are ignored, so
that a newer side may say more.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from metering.errors import DecodeError

MAX_CONTROL_BYTES = 64 * 1024

Message = TypeVar("Message", bound=msgspec.Struct)


class Ack(msgspec.Struct, frozen=True):
    """Everything of ``epoch`` up to and including ``seq`` is stored and its effect on the checks committed."""

    epoch: str  # 16 hex digits; an acknowledgement of another spool file means nothing
    seq: int
    window: int  # how many unacknowledged messages the gateway may have under way
    resend: bool = False  # the collector misses seq + 1: send from there again


class RegisterNote(msgspec.Struct, frozen=True):
    """Something that an energy register of a meter did and a register does not do."""

    meter: str
    quantity: str
    what: str  # fell, zero, jumped, stuck, rolled_over, exchanged
    at: int  # ms since 1970 UTC: the last time
    before: float  # kWh or kvarh
    after: float
    times: int = 1  # since the agent started


class EdgeStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gateway says about itself; the last will is ``EdgeStatus("offline")``."""

    state: Literal["online", "offline"]
    version: str = ""
    at: int = 0  # ms since 1970 UTC
    epoch: str = ""
    oldest_seq: int = 0  # oldest message the spool still holds
    next_seq: int = 0
    unacknowledged: int = 0
    oldest_unacknowledged_at: int | None = None
    spool_share: float = 0.0  # used share of the spool's page cap
    evicted_rows: int = 0
    clock_synchronised: bool = True
    meters: int = 0
    failing: tuple[str, ...] = ()  # meters without a good reading in the last round
    ticks_skipped: int = 0  # rounds that no one was there for, since the start
    registers: tuple[RegisterNote, ...] = ()  # the newest, at most 20
    reading_back: tuple[str, ...] = ()  # meters of which something is missing that their load profiles may hold
    clocks_off: tuple[str, ...] = ()  # meters whose clocks are off by more than the limit


class ReadCommand(msgspec.Struct, frozen=True):
    """Somebody wants to see one meter now, between the polls."""

    id: str  # returns in the reply
    read: str  # the meter
    quantities: tuple[str, ...] = ()  # none named: all it offers


class ReadReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the meter said, or why it did not."""

    id: str
    meter: str
    measured_at: int = 0  # ms since 1970 UTC
    values: dict[str, float | None] = {}
    quality: int = 0
    requests: int = 0
    elapsed_ms: float = 0.0
    failure: str = ""  # a word for programs: silent, exception, link_lost, unknown_meter …
    detail: str = ""
    code: int | None = None  # of a protocol exception


class CollectorStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the collector of a shard says about itself; the last will is ``CollectorStatus("offline")``."""

    state: Literal["online", "offline"]
    version: str = ""
    at: int = 0


def encode_control(message: msgspec.Struct) -> bytes:
    """One control message → JSON bytes."""
    return msgspec.json.encode(message)


def decode_control(payload: bytes, kind: type[Message]) -> Message:
    """JSON bytes → one control message.

    Raises:
        DecodeError: the payload is too large or is not such a message.
    """
    if len(payload) > MAX_CONTROL_BYTES:
        raise DecodeError(f"a control message of {len(payload)} bytes; the limit is {MAX_CONTROL_BYTES}")
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(f"{kind.__name__}: {error}") from error
