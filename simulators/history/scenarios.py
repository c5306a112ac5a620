"""What can happen to a meter, of which class it is, and what should be found: the words of ``truth.jsonl``.

    falsification  the reported consumption is not the true one, and nothing electrical disagrees: h1 … h6 of the
                   literature, and a shunt of all phases, which is h1 by another road
    electrical     a fault or a manipulation that the electrical quantities, registers or events betray
    capacity       more than the contract, or than what was approved
    benign         an innocent explanation of something that looks odd

``expected`` are the kinds of events of which one should open; ``allowed`` are kinds that would state no more than
the truth, and so are no false finding there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from simulators.history.span import Span

Class = Literal["falsification", "electrical", "capacity", "benign"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One word of the catalogue."""

    of: Class
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


_COVERS: Final = ("cover_opened", "terminal_cover_opened", "magnetic_field")
_IMBALANCE: Final = ("current_imbalance", "severe_current_imbalance")
_BESIDE_PV: Final = ("low_power_factor", *_IMBALANCE)  # what is left of a load that the sun nearly covers
_POWERLESS: Final = ("outage", "phase_loss", "undervoltage")
_HEAVY: Final = ("over_capacity", "over_current", "overload")

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "h1": Scenario("falsification"),
    "h2": Scenario("falsification"),
    "h3": Scenario("falsification"),
    "h4": Scenario("falsification"),
    "h5": Scenario("falsification"),
    "h6": Scenario("falsification"),
    "shunt_all_phases": Scenario("falsification"),
    "bypass": Scenario("electrical", ("current_shunt", "severe_current_imbalance")),
    "current_loss": Scenario("electrical", ("current_loss",)),
    "voltage_loss": Scenario("electrical", ("voltage_loss",)),
    "undervoltage": Scenario("electrical", ("undervoltage", "voltage_loss")),
    "over_voltage": Scenario("electrical", ("overvoltage",)),
    "reversed_ct": Scenario("electrical", ("reverse_flow",)),
    "slow_register": Scenario("electrical", ("energy_mismatch",)),
    "register_stopped": Scenario("electrical", ("register_stopped", "energy_mismatch")),
    "register_jump": Scenario("electrical", ("register_jumped",)),
    "register_fall": Scenario("electrical", ("register_fell",)),
    "current_imbalance": Scenario("electrical", _IMBALANCE),
    "over_current": Scenario("electrical", ("over_current", "overload"), _HEAVY),
    "low_power_factor": Scenario("electrical", ("low_power_factor",)),
    "opened_and_reduced": Scenario("electrical", _COVERS),
    "over_capacity": Scenario("capacity", ("over_capacity",)),
    "approved_surge": Scenario("capacity", ("temporary_capacity",)),
    "over_approved": Scenario("capacity", ("over_approved",), ("temporary_capacity",)),
    "announced_closure": Scenario("benign"),
    "unannounced_closure": Scenario("benign"),
    "downturn": Scenario("benign"),
    "retrofit": Scenario("benign"),
    "announced_tenant": Scenario("benign"),
    "unannounced_tenant": Scenario("benign"),
    "growth": Scenario("benign"),
    "new_hours": Scenario("benign"),
    "pv_installed": Scenario("benign", allowed=_BESIDE_PV),
    "approved_work": Scenario("benign"),
    "pv_registered": Scenario("benign", allowed=_BESIDE_PV),
    "one_phase_night": Scenario("benign", allowed=_IMBALANCE),
    "site_outage": Scenario("benign", allowed=_POWERLESS),
    "line_outage": Scenario("benign", allowed=_POWERLESS),
    "communication_gap": Scenario("benign", allowed=("read_failure",)),
}


@dataclass(frozen=True, slots=True)
class Incident:
    """A scenario at one meter from the interval ``first`` until before ``last``.

    What ``level`` means (a share, a factor, kVA in parts of the contract, kWh) stands with the scenario's effect;
    ``phase`` is 0, 1, 2; ``hours`` are those of the local day at which it happens, beyond 24 after midnight.
    """

    meter: str
    scenario: str
    first: int
    last: int
    level: float = 1.0
    phase: int = 0
    hours: tuple[float, float] = (0.0, 24.0)
    notes: Mapping[str, float | str] = field(default_factory=dict)

    def during(self, number: int, per_day: int) -> slice:
        """The intervals of a day that it touches, as places in the day; perhaps none."""
        begin = number * per_day
        return slice(min(max(self.first - begin, 0), per_day), min(max(self.last - begin, 0), per_day))

    def truth(self, span: Span) -> dict[str, object]:
        """One line of the ground truth."""
        what = SCENARIOS[self.scenario]
        last = min(self.last, span.intervals)
        return {
            "meter_id": self.meter,
            "scenario": self.scenario,
            "class": what.of,
            "from": span.local(self.first).isoformat(),
            "to": span.local(last).isoformat(),
            "days": [day.isoformat() for day in span.dates(self.first, last)],
            "expected": list(what.expected),
            "allowed": list(what.allowed),
            "parameters": {
                "level": round(self.level, 4),
                "phase": f"l{self.phase + 1}",
                "hours": [round(hour, 2) for hour in self.hours],
                **self.notes,
            },
        }
