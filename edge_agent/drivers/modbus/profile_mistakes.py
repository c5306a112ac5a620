"""Mistakes of a profile that only show across its keys, each at its place.

The same quantity twice or unknown, registers that overlap, a value that no single request can fetch, a register the
profile itself forbids, a key that needs another one, a scale or bounds that leave no value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from edge_agent.drivers.modbus.read_plan import Span
from edge_agent.words import Words
from metering.config_file import Loaded
from metering.marked_yaml import Place, Problem
from metering.quantity import QUANTITIES, Kind

if TYPE_CHECKING:
    from edge_agent.drivers.modbus.profile import IdentityRegister, Profile, ProfileRegister


class _Claim(NamedTuple):
    """Registers that one entry of the map takes."""

    function: int
    span: Span
    entry: int
    place: Place
    name: str
    shared: str  # entries with the same word here may stand on the same registers


def mistakes(loaded: Loaded[Profile], say: Words) -> list[Problem]:
    """All of them."""
    profile = loaded.value
    found = list(_forbidden_ranges(loaded, say))
    if bool(profile.registers) is (profile.sunspec is not None):
        found.append(loaded.problem(("registers",), say["registers or sunspec" if profile.sunspec else "none"]))
    for i, identity in enumerate(profile.identity):
        found += _identity(loaded, ("identity", i), identity, say)
    found += _map(loaded, ("registers",), profile.registers, say)
    for i, sunspec_map in enumerate(profile.sunspec.maps if profile.sunspec else ()):
        found += _map(loaded, ("sunspec", "maps", i, "registers"), sunspec_map.registers, say)
    return found


def _forbidden_ranges(loaded: Loaded[Profile], say: Words) -> Iterator[Problem]:
    for i, (first, last) in enumerate(loaded.value.blocks.forbidden):
        if last < first:
            yield loaded.problem(("blocks", "forbidden", i), say["range backwards"].format(first, last))


def _identity(loaded: Loaded[Profile], place: Place, identity: IdentityRegister, say: Words) -> Iterator[Problem]:
    if not (identity.one_of or identity.begins) or "" in identity.begins:
        yield loaded.problem(place, say["nothing to compare"])
    if identity.span.end > 0x1_0000:  # noqa: PLR2004 - how many registers a function has
        yield loaded.problem((*place, "count"), say["beyond the last register"].format(identity.span.end - 1))


def _map(loaded: Loaded[Profile], place: Place, registers: Sequence[ProfileRegister], say: Words) -> Iterator[Problem]:
    """The mistakes of one list of registers."""
    first: dict[str, int] = {}
    for i, register in enumerate(registers):
        name = register.quantity
        if name not in QUANTITIES:
            yield loaded.problem((*place, i, "quantity"), say["no such quantity"].format(name))
        elif register.rollover and QUANTITIES[name].kind is not Kind.REGISTER:
            yield loaded.problem((*place, i, "rollover"), say["rolls not over"].format(name))
        if first.setdefault(name, i) != i:
            yield loaded.problem((*place, i, "quantity"), say["register twice"].format(name))
        if register.type == "bit" and register.bit is None:
            yield loaded.problem((*place, i, "type"), say["which bit"])
        if register.type != "bit" and register.bit is not None:
            yield loaded.problem((*place, i, "bit"), say["no bits"].format(register.type))
        yield from _no_value(loaded, (*place, i), register, say)
    claims = [claim for i, register in enumerate(registers) for claim in _claims(loaded, place, i, register)]
    for claim in claims:
        yield from _out_of_reach(loaded, claim, say)
    yield from _overlaps(loaded, claims, say)


def _no_value(loaded: Loaded[Profile], here: Place, register: ProfileRegister, say: Words) -> Iterator[Problem]:
    """What would make nothing of every reading, and say so nowhere."""
    if not register.scale or not math.isfinite(register.scale):
        yield loaded.problem((*here, "scale"), say["no scale"].format(register.scale))
    lowest = -math.inf if register.minimum is None else register.minimum
    highest = math.inf if register.maximum is None else register.maximum
    if not lowest < highest:
        yield loaded.problem(here, say["no bounds"].format(lowest, highest))


def _claims(loaded: Loaded[Profile], place: Place, i: int, register: ProfileRegister) -> Iterator[_Claim]:
    function = loaded.value.function_of(register)
    shared = "bits" if register.type == "bit" else f"register {i}"
    yield _Claim(function, register.span, i, (*place, i, "address"), register.quantity, shared)
    if register.scale_register and register.scale_span:
        here = (*place, i, "scale_register")
        kind = register.scale_register.type
        yield _Claim(function, register.scale_span, i, here, f"{register.quantity}.scale_register", f"scale {kind}")


def _out_of_reach(loaded: Loaded[Profile], claim: _Claim, say: Words) -> Iterator[Problem]:
    """Registers that no read may ask for."""
    blocks = loaded.value.blocks
    if claim.span.end > 0x1_0000:  # noqa: PLR2004 - how many registers a function has
        yield loaded.problem(claim.place, say["beyond the last register"].format(claim.span.end - 1))
    if claim.span.count > blocks.longest:
        yield loaded.problem(claim.place, say["longer than a read"].format(claim.span.count, blocks.longest))
    for first, last in blocks.forbidden:
        if claim.span.address <= last and first < claim.span.end:
            yield loaded.problem(claim.place, say["register forbidden"].format(first, last))


def _overlaps(loaded: Loaded[Profile], claims: Sequence[_Claim], say: Words) -> Iterator[Problem]:
    ordered = sorted(claims, key=lambda claim: (claim.function, claim.span, claim.entry))
    for before, after in pairwise(ordered):
        if before.function != after.function or before.span.end <= after.span.address:
            continue
        if before.span == after.span and before.shared == after.shared:
            continue
        yield loaded.problem(after.place, say["registers overlap"].format(after.name, before.name))
