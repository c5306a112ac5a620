"""What the utility would know about the meters of a history, as the text of a ``registry.yaml``.

It holds what was registered, announced or approved. What happened without a word (a tenant who moved out, a closure
that nobody announced, a shunt) is not in it: that stands in the truth alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import yaml

from simulators.history.metering import History
from simulators.history.population import NOMINAL_V, SITE, Customer
from simulators.history.scenarios import Incident
from simulators.history.span import TIMEZONE
from simulators.history.surroundings import is_festival, is_holiday

_MASTER_BASE_A: Final = 100.0
_CHANGES: Final = {"announced_tenant": "tenant", "pv_installed": "equipment"}


def registry_text(history: History) -> str:
    """The registry file."""
    span = history.span
    days = [span.day(number) for number in range(span.days)]
    about = history.incidents
    document = {
        "version": 1,
        "sites": [
            {
                "id": SITE,
                "timezone": TIMEZONE,
                "tariff": "illustrative",
                "holidays": [day for day in days if is_holiday(day)],
                "festivals": [day for day in days if is_festival(day)],
            }
        ],
        "feeders": [
            {"id": line.name, "site": SITE, "master": line.master} for line in history.population.lines if line.mastered
        ],
        "meters": [*_masters(history), *_customers(history)],
        "approvals": [_approval(history, one) for one in about if "approved_kva" in one.notes],
        "closures": [_closure(history, one) for one in about if one.scenario == "announced_closure"],
        "work_orders": [_work_order(history, one) for one in about if one.scenario == "approved_work"],
        "changes": [
            {"meter": one.meter, "on": span.local(one.first).date(), "kind": _CHANGES[one.scenario]}
            for one in about
            if one.scenario in _CHANGES
        ],
    }
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=160)


def _masters(history: History) -> list[dict[str, Any]]:
    population = history.population
    return [
        {
            "id": population.lines[n].master,
            "site": SITE,
            "phases": 3,
            "nominal_voltage_v": NOMINAL_V,
            "base_current_a": min(_MASTER_BASE_A, population.maximum_current_a(n)),
            "maximum_current_a": population.maximum_current_a(n),
        }
        for n in population.masters
    ]


def _customers(history: History) -> list[dict[str, Any]]:
    installed = {one.meter: one.level for one in history.incidents if one.scenario == "pv_installed"}
    return [_customer(history, one, one.pv_kw + installed.get(one.name, 0.0)) for one in history.population.customers]


def _customer(history: History, one: Customer, pv_kw: float) -> dict[str, Any]:
    line = history.population.lines[one.line] if one.line >= 0 else None
    found: dict[str, Any] = {"id": one.name, "site": SITE}
    if line is not None and line.mastered:
        found["feeder"] = line.name
    found |= {
        "account": f"A-{one.name[1:]}",
        "trade": one.trade,
        "phases": 3,
        "nominal_voltage_v": NOMINAL_V,
        "base_current_a": one.base_current_a,
        "maximum_current_a": one.maximum_current_a,
        "contract_kva": one.contract_kva,
    }
    return found | ({"pv_kw": round(pv_kw, 1)} if pv_kw else {})


def _approval(history: History, one: Incident) -> dict[str, Any]:
    begins, ends = history.span.local(one.first), history.span.local(one.last)
    return {
        "meter": one.meter,
        "from": begins,
        "to": ends,
        "kva": one.notes["approved_kva"],
        "requested_at": begins - timedelta(days=9),
        "approved_at": begins - timedelta(days=3),
    }


def _closure(history: History, one: Incident) -> dict[str, Any]:
    days = history.span.dates(one.first, one.last)
    return {"meter": one.meter, "from": days[0], "to": days[-1]}


def _work_order(history: History, one: Incident) -> dict[str, Any]:
    return {"meter": one.meter, "from": history.span.local(one.first), "to": history.span.local(one.last)}
