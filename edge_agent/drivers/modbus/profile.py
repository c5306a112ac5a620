"""A profile is the register map of one meter model: YAML, never code.

It says where the map was taken from and whether anyone has checked it on the meter itself.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field

from edge_agent.drivers.modbus.read_plan import Limits, Span
from edge_agent.drivers.modbus.registers import WIDTH, Conversion, RegisterType, WordOrder
from edge_agent.words import words
from metering.quantity import QUANTITIES
from metering.settings import Language, Loaded, Problem, Settings, load_file


class ProfileRegister(Settings):
    """Where one quantity stands and how it is read."""

    quantity: str = Field(description="Name of the quantity, as in metering.quantity.")
    address: int = Field(ge=0, le=0xFFFF, description="Zero-based protocol address of its first register.")
    type: RegisterType = Field(description="How the registers are to be read.")
    scale: float = Field(1.0, description="Factor from the raw number to kW, kvar, kVA, kWh, kvarh, V, A or Hz.")
    invalid: tuple[int, ...] = Field((), description="Raw integers that mean that there is no reading.")
    minimum: float | None = Field(None, description="Lowest credible value in our unit, before CT and PT ratio.")
    maximum: float | None = Field(None, description="Highest credible value in our unit, before CT and PT ratio.")

    @property
    def span(self) -> Span:
        """The registers it takes."""
        return Span(self.address, WIDTH[self.type])

    @property
    def conversion(self) -> Conversion:
        """How the registers become a value."""
        bounds = {k: v for k, v in (("minimum", self.minimum), ("maximum", self.maximum)) if v is not None}
        return Conversion(self.quantity, self.type, self.scale, self.invalid, **bounds)


class BlockLimits(Settings):
    """What the meter takes as one read."""

    longest: int = Field(125, ge=4, le=125, description="Most registers in one read.")
    bridge: int = Field(125, ge=0, le=125, description="Widest hole of unused registers a read may cross.")


class Profile(Settings):
    """The register map of one model."""

    manufacturer: str = Field(description="Who makes the meter.")
    model: str = Field(description="What the maker calls it.")
    source: str = Field(description="Where the map was taken from.")
    checked_on_hardware: bool = Field(description="Whether someone compared it with the meter's display.")
    function: Literal[3, 4] = Field(description="Modbus function: 3 reads holding, 4 input registers.")
    word_order: WordOrder = Field("big", description="Which word of a wide value comes first: big = the high one.")
    blocks: BlockLimits = Field(BlockLimits(), description="What the meter takes as one read.")
    registers: tuple[ProfileRegister, ...] = Field(max_length=64, description="The map.")

    def limits(self, request_cost: int) -> Limits:
        """What the read plan must respect; ``request_cost`` is the bus's, in registers."""
        return Limits(longest=self.blocks.longest, bridge=self.blocks.bridge, request_cost=request_cost)

    @property
    def quantities(self) -> frozenset[str]:
        """Everything the map offers."""
        return frozenset(register.quantity for register in self.registers)


def load_profile(path: Path, lang: Language = "en") -> Profile:
    """Read one profile.

    Raises:
        ConfigError: every mistake of the file.
    """
    return load_file(path, Profile, lang, lambda loaded: _mistakes(loaded, lang))


def _mistakes(loaded: Loaded[Profile], lang: Language) -> list[Problem]:
    """Quantities that are unknown or stand twice, registers that overlap."""
    say = words(lang)
    registers = loaded.value.registers
    problems: list[Problem] = []
    if not registers:
        problems.append(loaded.problem(("registers",), say["none"]))
    first: dict[str, int] = {}
    for i, register in enumerate(registers):
        name = register.quantity
        if name not in QUANTITIES:
            problems.append(loaded.problem(("registers", i, "quantity"), say["no such quantity"].format(name)))
        if first.setdefault(name, i) != i:
            problems.append(loaded.problem(("registers", i, "quantity"), say["register twice"].format(name)))
    ordered = sorted(range(len(registers)), key=lambda i: registers[i].address)
    for before, after in pairwise(ordered):
        if registers[before].span.end > registers[after].address:
            pair = registers[after].quantity, registers[before].quantity
            problems.append(loaded.problem(("registers", after, "address"), say["registers overlap"].format(*pair)))
    return problems
