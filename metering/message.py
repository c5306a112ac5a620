"""A message: where it stands in the sequence of its gateway, which is read first, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass

from metering.errors import DecodeError
from metering.meter_event import MeterEvents
from metering.round import Gap, Round

Content = Round | Gap | MeterEvents
"""What a message can hold."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a message stands in the sequence of its gateway."""

    epoch: int  # random 64-bit number of the spool file
    seq: int  # 1, 2, 3 …; for a gap its last number
    held: int  # how many numbers before ``seq`` the spool still holds: seq - held is its oldest

    @property
    def oldest(self) -> int:
        """The oldest sequence number the spool still held when it sent this message."""
        return self.seq - self.held


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded message."""

    envelope: Envelope
    content: Content


def epoch_text(epoch: int) -> str:
    """The epoch as people and JSON see it: sixteen hex digits."""
    return f"{epoch:016x}"


def epoch_number(text: str) -> int:
    """The epoch that ``epoch_text`` wrote.

    Raises:
        DecodeError: it is no such text.
    """
    if len(text) != 16 or not all(c in "0123456789abcdef" for c in text):  # noqa: PLR2004
        raise DecodeError(f"epoch {text[:40]!r} is not sixteen hex digits")
    return int(text, 16)


def checked_envelope(epoch: int, seq: int, held: int) -> Envelope:
    """The envelope of these numbers.

    Raises:
        DecodeError: they cannot be.
    """
    if not (0 < seq < 2**63 and 0 <= held < min(seq, 2**32)):
        raise DecodeError(f"seq {seq} with {held} held before it: numbers start at 1")
    return Envelope(epoch, seq, held)
