"""Writes golden messages of a new kind; one that exists is never written again.

python -m tests.contract.write_feed_messages
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from collector.feeds.announcements import Announcements
from collector.feeds.case import Verdict
from collector.feeds.inspection import cases_of
from collector.feeds.schema import MODELS, schema_of
from collector.feeds.statement import Statements
from collector.registry.approvals import Approvals
from metering.topics import Topics
from tests.support.engines import engine, judge, registry, tariffs
from tests.support.feeds import readings
from tests.support.findings import START

HERE = Path(__file__).parent / "feeds"


def messages() -> dict[str, Any]:
    """One message of every kind, by the name of its golden file."""
    known = registry(["shop-1", "shop-2"], account="A-0001", trade="retail")
    outcome = judge(engine(known), readings(14, ("shop-1", "shop-2")))
    announcing = Announcements(Topics(), Statements(known, tariffs()), known, Approvals(known))
    said = [json.loads(one.body) for one in announcing.outgoing(outcome.events, outcome.tables)]
    days = [one for one in said if one["type"] == "wattline.pricing.day.final"]
    month = next(one for one in said if one["type"] == "wattline.pricing.month.final")
    case = next(one for one in said if one["type"].startswith("wattline.case."))
    events = [one.cloudevent() for one in outcome.events]
    given = {"verdict": "confirmed", "by": "team-3", "note": "L2 open", "cause": "current transformer"}
    (found,) = cases_of(events, [], START + timedelta(days=3))
    verdict = Verdict.model_validate(
        {"case": found.id, "meter": found.meter, "at": START + timedelta(days=4), **given}
        | {"conditions": [one.condition for one in found.conditions]}
    )
    (decided,) = cases_of(events, [verdict], START + timedelta(days=5))
    approvals = schema_of("approval_list")["examples"][0]
    return {
        "event.opened": events[0],
        "event.closed": events[-1],
        "day.complete": days[0]["data"],
        "day_message.final": days[0],
        "month.final": month["data"],
        "month_message.final": month,
        "case.open": found.model_dump(mode="json"),
        "case.confirmed": decided.model_dump(mode="json"),
        "case_message.opened": case,
        "verdict.confirmed": verdict.model_dump(mode="json"),
        "verdict_given.confirmed": given,
        "approval_list.example": approvals,
    }


def write(path: Path, document: Any) -> None:
    """Write a file that is not there yet."""
    if not path.exists():
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, message in messages().items():
        write(HERE / f"{name}.golden.json", message)
    write(HERE / "first_schemas.json", {name: schema_of(name) for name in MODELS})
