"""An example of a pricing module: an account's determinants from the feed → packages compared on its real load."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from metering.errors import StopAndFix
from metering.language import Language
from simulators.consumers.feed import Feed
from simulators.consumers.packages import Comparison, Packages, compare

_DAYS_BACK: Final = 396

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "head": "account {account}: {kwh:.1f} kWh in {months} billing months that are over ({complete} complete)",
        "none": "account {account}: no billing month is over yet; {running} running → ask again when one is",
        "columns": "package              cost, yuan    a year, yuan   months at night price",
        "incomplete": "incomplete months: {dates}. Their energy is counted as far as it is known; they get no night "
        "price and are not projected.",
        "projected": "A year is projected from {complete} complete months (12 are a year).",
        "unprojected": "No month is complete: a yearly difference is not stated.",
        "illustrative": "The prices are illustrative.",
        "best": "cheapest on this load: {name}",
    },
    "zh": {
        "head": "账户 {account}：已结束的 {months} 个结算月共 {kwh:.1f} kWh（其中 {complete} 个完整）",
        "none": "账户 {account}：尚无已结束的结算月（进行中 {running} 个）→ 请在月结后再试",
        "columns": "套餐                 费用，元      年差额，元     享夜间价的月数",
        "incomplete": "不完整的月份：{dates}。其电量按已知部分计入，不享夜间价，也不参与年度推算。",
        "projected": "年差额由 {complete} 个完整月份推算（一年为 12 个月）。",
        "unprojected": "没有完整的月份：不给出年差额。",
        "illustrative": "价格仅为示例。",
        "best": "按实际负荷最便宜：{name}",
    },
}


def recommend(feed: Feed, account: str, packages: Packages, current: str, until: date, lang: Language) -> str:
    """The comparison for one account, as a table.

    Raises:
        StopAndFix: the feed cannot be asked, the account has no data, or there is no such package.
    """
    known = [one.id for one in packages.packages]
    if current not in known:
        raise StopAndFix(f"no package is called {current} → known: {', '.join(known)}")
    since = (until - timedelta(days=_DAYS_BACK)).isoformat()
    months = list(feed.items("/v1/pricing/months", account=account, since=since, until=until.isoformat()))
    if not months:
        raise StopAndFix(f"the feed knows no month of account {account} until {until} → is the account right?")
    found = compare(months, packages)
    words = _WORDS[lang]
    if not found.months:
        return words["none"].format(account=account, running=len(months))
    return "\n".join(_lines(found, account, packages, current, lang))


def _lines(found: Comparison, account: str, packages: Packages, current: str, lang: Language) -> list[str]:
    words = _WORDS[lang]
    lines = [words["head"].format(account=account, kwh=found.kwh, months=found.months, complete=found.complete), ""]
    lines.append(words["columns"])
    for offer in found.offers:
        difference = found.yearly_difference(offer, current)
        shown = "-" if difference is None else f"{difference:+.2f}"
        mark = "*" if offer.package.id == current else " "
        lines.append(f"{mark}{offer.package.id:16} {offer.cost_yuan:14.2f} {shown:>15} {offer.night_months:10}")
    best = found.offers[0].package
    lines += ["", words["best"].format(name=best.name_zh if lang == "zh" else best.name_en)]
    lines.append(words["projected"].format(complete=found.complete) if found.complete else words["unprojected"])
    if found.incomplete:
        lines.append(words["incomplete"].format(dates=", ".join(found.incomplete)))
    if packages.illustrative:
        lines.append(words["illustrative"])
    return lines
