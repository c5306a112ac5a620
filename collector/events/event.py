"""One event: a CloudEvents 1.0 message about one condition of one meter.

Its id is a function of what happened (kind, meter, part, start, lifecycle) and of nothing else: a replay, a
duplicate or a late row never makes a second one, and a back-test of exported readings makes the same. Nothing in
it comes from a clock, so the same readings give the same bytes. The topic names the kind and the meter; the
account, a pseudonym, stands in the body only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from collector.checks.check import Lifecycle, Severity
from collector.store.table import Series


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and the evidence for it."""

    kind: str
    lifecycle: Lifecycle | Literal["withdrawn"]
    series: Series
    part: str
    started_at: int  # ms
    at: int  # ms: the reading that decided
    ended_at: int | None
    severity: Severity
    score: float
    site: str | None
    account: str | None
    evidence: Mapping[str, Any]

    @property
    def condition(self) -> str:
        """Names the condition through its whole life: opened, updated and closed share it."""
        words = (self.kind, self.series.meter, self.part, str(self.started_at))
        return hashlib.sha256("\n".join(words).encode()).hexdigest()[:24]

    @property
    def id(self) -> str:
        """Names this message; there is one ``updated`` a day (UTC)."""
        day = f"-{iso(self.at)[:10].replace('-', '')}" if self.lifecycle == "updated" else ""
        return f"{self.condition}-{self.lifecycle}{day}"

    def cloudevent(self) -> dict[str, Any]:
        """The event as a CloudEvents 1.0 object."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/wattline/{self.series.gateway}",
            "type": f"wattline.{self.kind}.{self.lifecycle}",
            "subject": self.series.meter,
            "time": iso(self.at),
            "datacontenttype": "application/json",
            "data": {
                "condition": self.condition,
                "kind": self.kind,
                "lifecycle": self.lifecycle,
                "meter": self.series.meter,
                "gateway": self.series.gateway,
                "part": self.part,
                "site": self.site,
                "account": self.account,
                "started_at": iso(self.started_at),
                "ended_at": None if self.ended_at is None else iso(self.ended_at),
                "severity": self.severity,
                "score": round(self.score, 3),
                "evidence": dict(self.evidence),
            },
        }

    def body(self) -> str:
        """The CloudEvent as JSON, keys in a fixed order."""
        return json.dumps(self.cloudevent(), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


_WITHDRAWN: Final = {
    "zh": "后补的数据表明该情况并未发生，此前的通知作废。",
    "en": "What came late shows that this was not so; the earlier message is withdrawn.",
}


def withdrawn(body: dict[str, Any]) -> Event:
    """The event that takes back one which late readings do not bear out; ``body`` is its CloudEvent."""
    data = body["data"]
    return Event(
        kind=data["kind"],
        lifecycle="withdrawn",
        series=Series(data["gateway"], data["meter"]),
        part=data["part"],
        started_at=milliseconds(data["started_at"]),
        at=milliseconds(body["time"]),
        ended_at=milliseconds(data["started_at"]),
        severity="info",
        score=0.0,
        site=data["site"],
        account=data["account"],
        evidence={**data["evidence"], "sentence": _WITHDRAWN, "kwh_at_stake": None},
    )


def milliseconds(text: str) -> int:
    """An RFC 3339 instant as milliseconds since 1970."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def iso(at_ms: int) -> str:
    """Milliseconds since 1970 as an RFC 3339 instant in UTC."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).replace(microsecond=at_ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
