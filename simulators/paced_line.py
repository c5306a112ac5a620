"""A serial line, slow as in life: every character takes its time, and only one side may speak at once.

Characters of the master in, characters of the meters out, at the speed of the line. What stands between two silences of
3.5 characters is a frame; what is none no meter answers. Where both speak, nobody understands anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from simulators.faults import Delivery

_FAST_BAUD: Final = 19_200
_FAST_SILENCE_S: Final = 0.00175
_SILENT_CHARACTERS: Final = 3.5
_WRONG: Final = 0x5A


@dataclass(frozen=True, slots=True)
class LineSpeed:
    """How fast characters go over a line."""

    baudrate: int = 9600
    bits: int = 10  # a character, with start, parity and stop

    @property
    def character_s(self) -> float:
        """How long one character takes."""
        return self.bits / self.baudrate

    @property
    def silence_s(self) -> float:
        """How long a silence ends a frame."""
        return _SILENT_CHARACTERS * self.character_s if self.baudrate <= _FAST_BAUD else _FAST_SILENCE_S


class Meters(Protocol):
    """What hangs on a line."""

    def answer(self, octets: bytes) -> Delivery:
        """Let a meter answer what stood between two silences; nothing if it is no frame."""
        ...

    def echoes(self, octets: bytes) -> bool:
        """Whether the master's adapter hears itself when it begins a frame so."""
        ...


def garbled(octets: bytes | bytearray) -> bytes:
    """What a collision or another speed makes of characters."""
    return bytes(octet ^ _WRONG for octet in octets)


class PacedLine:
    """The line between one master and its meters."""

    def __init__(
        self,
        meters: Meters,
        say: Callable[[bytes], None],
        speed: LineSpeed,
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        """``say`` takes what the master hears; ``hang_up`` is called where a line has a connection that can end."""
        self._meters = meters
        self._say = say
        self._speed = speed
        self._hang_up = hang_up
        self._heard = bytearray()
        self._heard_until_s = 0.0
        self._silence: asyncio.TimerHandle | None = None
        self._going_out = bytearray()
        self._ends = False  # with what is going out
        self._next_s = 0.0  # when the next character has gone out

    def hear(self, octets: bytes) -> None:
        """The master begins to send."""
        loop = asyncio.get_running_loop()
        echoes = not self._heard and self._meters.echoes(octets)
        if self._going_out:
            self._going_out = bytearray(garbled(self._going_out))
            octets = garbled(octets)
        self._heard += octets
        self._heard_until_s = max(loop.time(), self._heard_until_s) + len(octets) * self._speed.character_s
        if self._silence is not None:
            self._silence.cancel()
        self._silence = loop.call_at(self._heard_until_s + self._speed.silence_s, self._end_of_frame)
        if echoes:
            self._speak(octets)

    def stop(self) -> None:
        """Nobody says anything any more."""
        if self._silence is not None:
            self._silence.cancel()
        self._going_out.clear()

    def _end_of_frame(self) -> None:
        self._silence = None
        heard = bytes(self._heard)
        self._heard.clear()
        delivery = self._meters.answer(heard)
        if delivery.delay_s:
            asyncio.get_running_loop().call_later(delivery.delay_s, self._deliver, delivery)
        else:
            self._deliver(delivery)

    def _deliver(self, delivery: Delivery) -> None:
        self._speak(delivery.data)
        self._ends = delivery.close
        if delivery.close and not self._going_out:
            self._hang_up()

    def _speak(self, octets: bytes) -> None:
        speaking = bool(self._going_out)
        self._going_out += octets
        if octets and not speaking:
            loop = asyncio.get_running_loop()
            self._next_s = loop.time() + self._speed.character_s
            loop.call_at(self._next_s, self._send_due)

    def _send_due(self) -> None:
        """Send the characters whose time has come."""
        loop = asyncio.get_running_loop()
        character_s = self._speed.character_s
        due = min(len(self._going_out), 1 + max(0, int((loop.time() - self._next_s) / character_s)))
        if not due:
            return
        self._say(bytes(self._going_out[:due]))
        del self._going_out[:due]
        self._next_s += due * character_s
        if self._going_out:
            loop.call_at(self._next_s, self._send_due)
        elif self._ends:
            self._hang_up()
