"""An OBIS code names one quantity of a meter: ``A-B:C.D.E`` with an optional ``*F``.

A is the medium (1 = electricity), B the channel, C the physical quantity (1 = active import),
D the processing (8 = time integral, that is energy; 7 = instantaneous value; 4 = demand),
E the tariff (0 = total) and F the billing period (255 = current). DLMS UA Blue Book, "OBIS".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(r"(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?")
CURRENT_PERIOD = 255


@dataclass(frozen=True, slots=True, order=True)
class ObisCode:
    """Six value groups, each 0 to 255."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int = CURRENT_PERIOD

    def __post_init__(self) -> None:
        for name in ("a", "b", "c", "d", "e", "f"):
            value: int = getattr(self, name)
            if not 0 <= value <= CURRENT_PERIOD:
                raise ValueError(f"OBIS value group {name.upper()} is {value}; it must lie in 0…255")

    @classmethod
    def parse(cls, text: str) -> ObisCode:
        """Read ``1-0:1.8.0`` or ``1-0:1.8.0*255``.

        Raises:
            ValueError: the text is not one OBIS code.
        """
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not an OBIS code; write it like 1-0:1.8.0")
        groups = [int(group) for group in match.groups() if group is not None]
        return cls(*groups)

    def __str__(self) -> str:
        billing = "" if self.f == CURRENT_PERIOD else f"*{self.f}"
        return f"{self.a}-{self.b}:{self.c}.{self.d}.{self.e}{billing}"
