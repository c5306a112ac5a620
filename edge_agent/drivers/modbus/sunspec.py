"""Where the registers of a SunSpec meter stand: the meter says it itself.

SunSpec Device Information Model Specification: the two registers of 'SunS' stand at one of a few bases, and behind them
one model after the other: its id, its length, and as many registers as the length says. The id 0xFFFF ends the chain.
Model 1 tells who made the device; 201 to 204 are meters with integers and scale registers, 211 to 214 with floats.

``discovery`` asks nothing itself: it yields what to read and is sent what came. A device may say anything, so the walk
is bounded, never goes back, and never leaves the address space.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.modbus.profile import ProfileRegister, SunSpec, SunSpecMap
from edge_agent.drivers.modbus.read_plan import LONGEST_READ, Span

_SUNS: Final = [0x5375, 0x6E53]
_END: Final = 0xFFFF
_COMMON: Final = 1
_HEADER: Final = 2
_MOST_MODELS: Final = 64
_PLATE: Final = {"manufacturer": Span(0, 16), "model": Span(16, 16), "version": Span(40, 8), "serial": Span(48, 16)}

Discovery = Generator[Span, Sequence[int] | None, "Found | str"]
"""Yields what to read; is sent the registers, or ``None`` if the device refuses them; returns what was found, or why
nothing was."""


@dataclass(frozen=True, slots=True)
class NamePlate:
    """What the device says of itself in model 1."""

    manufacturer: str = ""
    model: str = ""
    version: str = ""
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The meter model of a device."""

    model_id: int
    base: int  # address of the model's id
    registers: tuple[ProfileRegister, ...]
    plate: NamePlate


def discovery(sunspec: SunSpec) -> Discovery:
    """Look for a meter model that can be read."""
    for base in sunspec.bases:
        first = yield Span(base, 2 * _HEADER)
        if first is not None and list(first[:_HEADER]) == _SUNS:
            return (yield from _walk(sunspec, base + _HEADER, first[_HEADER:]))
    return f"no 'SunS' at {', '.join(map(str, sunspec.bases))}"


def _walk(sunspec: SunSpec, at: int, header: Sequence[int]) -> Discovery:
    """Go along the chain from the model at ``at``."""
    readable = {model: one for one in sunspec.maps for model in one.models}
    plate = NamePlate()
    seen: list[int] = []
    while len(seen) < _MOST_MODELS:
        model, length = header
        if model == _END:
            return f"no meter model after {_listed(seen)}"
        if model in readable:
            return _found(readable[model], model, Span(at, length + _HEADER), plate)
        seen.append(model)
        content = Span(at + _HEADER, length)
        at = content.end
        if at + _HEADER > _END:
            return f"model {model} with {length} registers ends beyond the last register"
        words = None
        if model == _COMMON and length + _HEADER <= LONGEST_READ:
            words = yield Span(content.address, length + _HEADER)  # with the header of the next model
            plate = _plate(words) if words is not None else plate
        if words is None:
            words = yield Span(at, _HEADER)
        if words is None:
            return f"the chain breaks off at {at} after {_listed(seen)}"
        header = words[-_HEADER:]
    return f"no end after {_MOST_MODELS} models"


def _found(of: SunSpecMap, model: int, span: Span, plate: NamePlate) -> Found | str:
    needed = max(one.end for register in of.offered for one in (register.span, register.scale_span) if one is not None)
    if span.count < needed:
        return f"model {model} has {span.count - _HEADER} registers, its map needs {needed - _HEADER}"
    return Found(model, span.address, of.offered, plate)


def _plate(words: Sequence[int]) -> NamePlate:
    content = b"".join(word.to_bytes(2) for word in words[:-_HEADER])
    texts = {name: content[2 * span.address : 2 * span.end] for name, span in _PLATE.items()}
    return NamePlate(**{name: text.split(b"\0")[0].decode("ascii", "replace").strip() for name, text in texts.items()})


def _listed(models: Sequence[int]) -> str:
    return ", ".join(map(str, models)) or "'SunS'"
