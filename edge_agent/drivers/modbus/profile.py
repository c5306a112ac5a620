"""A profile is the register map of one meter model: YAML, never code.

It says where each quantity stands and how it is read, what the meter takes as one request, how the model is told from
others, where the map was taken from, and whether anyone has checked it on the meter itself.
``config/profiles/README.md`` tells how to write one.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_agent.drivers.meter_model import MeterModel
from edge_agent.drivers.modbus.profile_mistakes import mistakes
from edge_agent.drivers.modbus.read_plan import Limits, Span
from edge_agent.drivers.modbus.registers import WIDTH, Conversion, ExponentType, Order, RegisterType
from edge_agent.words import words
from metering.config_file import load_file
from metering.language import Language
from metering.settings import Settings

Function = Literal[3, 4]
Address = Annotated[int, Field(ge=0, le=0xFFFF)]


class ScaleRegister(Settings):
    """A register of the meter that says by which power of ten a raw number must be multiplied."""

    address: Address = Field(description="Zero-based protocol address; the function is that of the scaled register.")
    type: ExponentType = Field("int16", description="Whether the exponent has a sign.")


class ProfileRegister(Settings):
    """Where one quantity stands and how it is read."""

    quantity: str = Field(description="Name of the quantity, as in metering.quantity.")
    address: Address = Field(description="Zero-based protocol address of its first register.")
    function: Function | None = Field(None, description="3 reads holding, 4 input registers; absent: the profile's.")
    type: RegisterType = Field(description="How the registers are to be read; bcd are packed decimal digits.")
    bit: int | None = Field(None, ge=0, le=15, description="Which bit of the register, 0 the lowest (type: bit).")
    word_order: Order | None = Field(None, description="As in the profile, for this value only.")
    byte_order: Order | None = Field(None, description="As in the profile, for this value only.")
    scale: float = Field(1.0, description="Factor from the raw number to kW, kvar, kVA, kWh, kvarh, V, A or Hz.")
    scale_register: ScaleRegister | None = Field(None, description="Where the meter says a further power of ten.")
    invalid: tuple[int | Literal["nan"], ...] = Field(
        (), description="Raw numbers that mean that there is no reading; nan for a float that is no number."
    )
    minimum: float | None = Field(None, description="Lowest credible value in our unit, before CT and PT ratio.")
    maximum: float | None = Field(None, description="Highest credible value in our unit, before CT and PT ratio.")
    rollover: float | None = Field(
        None, gt=0, description="Count at which an energy register starts anew, if the vendor says so; kWh or kvarh."
    )

    @property
    def span(self) -> Span:
        """The registers it takes."""
        return Span(self.address, WIDTH[self.type])

    @property
    def scale_span(self) -> Span | None:
        """The registers its scale takes."""
        return Span(self.scale_register.address, 1) if self.scale_register else None


class BlockLimits(Settings):
    """What the meter takes as one read."""

    longest: int = Field(125, ge=1, le=125, description="Most registers in one read.")
    bridge: int = Field(125, ge=0, le=125, description="Widest hole of unused registers a read may cross.")
    forbidden: tuple[tuple[Address, Address], ...] = Field(
        (), description="Registers no read may touch, as [first, last]; for every function."
    )
    one_quantity_per_request: bool = Field(False, description="Whether the meter answers for one value at a time only.")

    def limits(self, request_cost: int, refused: tuple[Span, ...] = ()) -> Limits:
        """What the read plan must respect; ``request_cost`` is the bus's, in registers, ``refused`` the meter's."""
        return Limits(
            longest=self.longest,
            bridge=self.bridge,
            request_cost=request_cost,
            forbidden=tuple(Span(first, last - first + 1) for first, last in self.forbidden),
            refused=refused,
            one_span=self.one_quantity_per_request,
        )


class IdentityRegister(Settings):
    """Registers that tell this model from others; one that fits is enough."""

    address: Address = Field(description="Zero-based protocol address.")
    function: Function | None = Field(None, description="3 reads holding, 4 input registers; absent: the profile's.")
    count: int = Field(1, ge=1, le=32, description="How many registers; their content is one number, or text.")
    one_of: tuple[int, ...] = Field((), description="Numbers that this model has there, high word first.")
    begins: tuple[str, ...] = Field((), description="What the text there begins with, two ASCII characters a register.")
    meaning: str = Field(description="What stands there.")

    @property
    def span(self) -> Span:
        """The registers to read."""
        return Span(self.address, self.count)

    def fits(self, registers: Iterable[int]) -> bool:
        """Whether these registers are those of this model."""
        content = b"".join(register.to_bytes(2) for register in registers)
        text = content.rstrip(b"\0 ").decode("ascii", "replace")
        return int.from_bytes(content) in self.one_of or any(text.startswith(begin) for begin in self.begins)


class SunSpecMap(Settings):
    """The registers of a SunSpec model; addresses count from the model's first register, that of its id."""

    models: tuple[int, ...] = Field(min_length=1, description="Ids of the models with these registers.")
    phases: int = Field(ge=1, le=3, description="Phases these models have; quantities of others are left out.")
    registers: tuple[ProfileRegister, ...] = Field(min_length=1, max_length=64, description="The map.")

    @cached_property
    def offered(self) -> tuple[ProfileRegister, ...]:
        """The registers of the phases there are."""
        absent = tuple(f"_l{phase}" for phase in (1, 2, 3) if phase > self.phases)
        return tuple(register for register in self.registers if not register.quantity.endswith(absent))


class SunSpec(Settings):
    """A meter that says itself where its registers stand (SunSpec Information Model Specification)."""

    bases: tuple[Address, ...] = Field((40000, 50000, 0), min_length=1, description="Where 'SunS' may stand.")
    maps: tuple[SunSpecMap, ...] = Field(min_length=1, description="The models that can be read.")


class Profile(MeterModel):
    """The register map of one model."""

    function: Function = Field(3, description="Modbus function: 3 reads holding, 4 input registers.")
    word_order: Order = Field("big", description="Which word of a wide value comes first: big = the high one.")
    byte_order: Order = Field("big", description="Which byte of a register comes first: big = the high one.")
    blocks: BlockLimits = Field(BlockLimits(), description="What the meter takes as one read.")
    identity: tuple[IdentityRegister, ...] = Field((), description="Registers that tell the model.")
    registers: tuple[ProfileRegister, ...] = Field((), max_length=64, description="The map.")
    sunspec: SunSpec | None = Field(None, description="Instead of registers: the meter says where they stand.")

    @cached_property
    def maps(self) -> tuple[tuple[ProfileRegister, ...], ...]:
        """Every map the meter may turn out to have: one, unless it is a SunSpec meter."""
        return tuple(one.offered for one in self.sunspec.maps) if self.sunspec else (self.registers,)

    @cached_property
    def quantities(self) -> frozenset[str]:
        """Everything the map offers."""
        return frozenset(register.quantity for one in self.maps for register in one)

    @property
    def rollovers(self) -> dict[str, float]:
        """Count at which a register starts anew, by quantity, at the meter's terminals."""
        return {one.quantity: one.rollover for of_map in self.maps for one in of_map if one.rollover}

    def function_of(self, register: ProfileRegister | IdentityRegister) -> int:
        """The function that reads a register."""
        return register.function or self.function

    def conversion(self, register: ProfileRegister) -> Conversion:
        """How the registers of one quantity become a value."""
        bounds = {k: v for k, v in (("minimum", register.minimum), ("maximum", register.maximum)) if v is not None}
        return Conversion(
            register.quantity,
            register.type,
            register.scale,
            register.invalid,
            word_order=register.word_order or self.word_order,
            byte_order=register.byte_order or self.byte_order,
            bit=register.bit or 0,
            **bounds,
        )


def load_profile(path: Path, lang: Language = "en") -> Profile:
    """Read one profile.

    Raises:
        ConfigError: every mistake of the file.
    """
    return load_file(path, Profile, lang, lambda loaded: mistakes(loaded, words(lang)))
