"""What is done to a meter, between which instants, and what a collector should find: the ground truth.

A scenario changes the load (what flows), the sensing (what the meter sees of it) or the counting (what the
register makes of what the meter sees). Voltage always stays. Instants are whole minutes: a minute is the
resolution of the simulated world.

    current_loss    失流: a current transformer circuit is open; the meter sees nothing of that phase
    bypass          a jumper across the current terminals of one phase; a residual is still seen
    slow_register   the register counts too little of the power that the meter itself displays
    overload        more than the contract capacity, and nobody has approved it
    approved_surge  more than the contract capacity, inside an approved window and below its limit
    over_approved   inside an approved window, above its limit
    cover_opened    开盖: the cover is open for a while; only the meter's own log tells
    magnetic_field  a strong magnet is held to the meter; the same
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, Literal

ScenarioName = Literal[
    "honest",
    "current_loss",
    "bypass",
    "slow_register",
    "overload",
    "approved_surge",
    "over_approved",
    "cover_opened",
    "magnetic_field",
]

ONLY_LOGGED: Final[tuple[ScenarioName, ...]] = ("cover_opened", "magnetic_field")
"""What nothing but the meter's own log tells."""

EXPECTED: Final[dict[ScenarioName, tuple[str, ...]]] = {
    "honest": (),
    "current_loss": ("current_loss",),
    "bypass": ("current_shunt",),
    "slow_register": ("energy_mismatch",),
    "overload": ("over_capacity",),
    "approved_surge": ("temporary_capacity",),
    "over_approved": ("temporary_capacity", "over_approved"),
    "cover_opened": ("cover_opened",),
    "magnetic_field": ("magnetic_field",),
}
"""The kinds of events that a collector should open for each scenario."""

ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "overload": ("capacity_warning",),
    "approved_surge": ("capacity_warning",),
    "over_approved": ("capacity_warning",),
}
"""The kinds that would state no more than the truth there."""

LEVELS: Final[dict[ScenarioName, tuple[float, float]]] = {
    "honest": (1.0, 1.0),
    "current_loss": (0.0, 0.0),  # share of the phase's current that is seen
    "bypass": (0.05, 0.12),  # the same
    "slow_register": (0.55, 0.70),  # share of the seen power that is counted
    "overload": (1.3, 1.5),  # load in contract kVA
    "approved_surge": (1.15, 1.3),  # the same
    "over_approved": (1.15, 1.25),  # load in approved kVA
    "cover_opened": (1.0, 1.0),
    "magnetic_field": (1.0, 1.0),
}
"""From which range the strength of a scenario is drawn."""

_ON_THE_LOAD: Final = ("overload", "approved_surge", "over_approved")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing done to one meter from ``starts_at_ms`` until just before ``ends_at_ms``."""

    name: ScenarioName
    meter: str
    starts_at_ms: int
    ends_at_ms: int
    level: float = 1.0  # see LEVELS
    phase: int = 0  # 0, 1, 2: which phase the sensing lacks
    approved_kva: float = 0.0  # limit of the approved window, for the two scenarios that have one

    def load_kva(self, contract_kva: float) -> float | None:
        """The apparent power that the customer draws meanwhile, or ``None`` for the usual load."""
        if self.name not in _ON_THE_LOAD:
            return None
        return self.level * (self.approved_kva if self.name == "over_approved" else contract_kva)

    @property
    def seen(self) -> float:
        """Share of the current of ``phase`` that the meter sees."""
        return self.level if self.name in ("current_loss", "bypass") else 1.0

    @property
    def counted(self) -> float:
        """Share of the seen power that the energy register counts."""
        return self.level if self.name == "slow_register" else 1.0

    def truth(self, zone: tzinfo) -> dict[str, object]:
        """The record of the ground truth; instants in ISO 8601 with the offset of ``zone``."""
        return {
            "meter": self.meter,
            "scenario": self.name,
            "starts_at": _iso(self.starts_at_ms, zone),
            "ends_at": _iso(self.ends_at_ms, zone),
            "expected": list(EXPECTED[self.name]),
        }


def _iso(at_ms: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat()
