"""An example of an inspection team's tool: the ranked cases, a sheet to take along, and the verdict that goes back."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

from metering.language import Language
from simulators.consumers.feed import Feed

_HEADS: Final[dict[Language, str]] = {
    "en": "case                   meter            score   kWh at stake  what",
    "zh": "案件                   电表             强度    可能未计量kWh  内容",
}
_NONE: Final[dict[Language, str]] = {"en": "nothing to inspect", "zh": "没有需要检查的案件"}


def work_list(feed: Feed, lang: Language, most: int, site: str | None = None) -> str:
    """The most urgent open cases, as a table.

    Raises:
        StopAndFix: the feed cannot be asked.
    """
    cases = list(islice(feed.items("/v1/inspection/cases", status="open", site=site), most))
    return "\n".join([_HEADS[lang], *(_row(case) for case in cases)]) if cases else _NONE[lang]


def sheet(feed: Feed, case: str, lang: Language, audience: str) -> str:
    """The evidence sheet of a case.

    Raises:
        StopAndFix: the feed cannot be asked, or knows no such case.
    """
    return feed.get(f"/v1/inspection/cases/{case}/sheet", {"lang": lang, "for": audience, "form": "text"}).decode()


def send_verdict(feed: Feed, case: str, verdict: str, by: str, note: str = "", cause: str = "") -> str:
    """Send back what was found; return how the case stands.

    Raises:
        StopAndFix: the feed cannot be asked, or refuses the verdict.
    """
    given = {"verdict": verdict, "by": by, "note": note, "cause": cause}
    kept = feed.post(f"/v1/inspection/cases/{case}/verdict", given)
    return f"{kept['case']} {kept['meter']}: {kept['verdict']}"


def _row(case: dict[str, Any]) -> str:
    stake = case["kwh_at_stake"]
    kwh = "-" if stake is None else f"{stake['best']:.1f} ({stake['low']:.1f}-{stake['high']:.1f})"
    return f"{case['id']}  {case['meter']:16} {case['score']:.2f} {kwh:>18}  {', '.join(case['kinds'])}"
