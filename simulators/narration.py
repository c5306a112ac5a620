"""What the demonstration says: rounds, findings and results → lines of text, in English or Chinese.

A finding's evidence is always shown in both languages, as the collector wrote it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from unicodedata import east_asian_width
from zoneinfo import ZoneInfo

from metering.language import Language
from metering.round import Round
from simulators.load_curves import Trade
from simulators.park_settings import Protocol
from simulators.scenarios import ALLOWED

_PROTOCOLS: Final[dict[Protocol, str]] = {"modbus": "Modbus", "dlms": "DLMS/COSEM", "dlt645": "DL/T 645"}
_HOUR_MS: Final = 3_600_000
_EVENT_PREFIX: Final = "wattline."
_EVENT_PARTS: Final = 2
# Simulated time from the cause to the finding, with what the first seconds of a run cost.
_USUAL_PATIENCE: Final = timedelta(hours=1)
_PATIENCE: Final = {"current_shunt": timedelta(hours=2), "energy_mismatch": timedelta(hours=28)}

_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "broker": "broker    {} on port {}",
        "store": "store     {}",
        "collector": "collector ready",
        "park": "park      {} meters: {}; {}",
        "clock": "clock     starts {:%Y-%m-%d %H:%M}, runs {:g} times as fast: {:.0f} hours in {:.0f} s",
        "edge": "edge      polls every {:g} simulated minutes",
        "hour": "{:%m-%d %H:%M}  round {:<4} {:>2}/{} meters  {:7.2f} kW  {:7.2f} kWh in this hour  stored up to {}",
        "opened": "FINDING",
        "updated": "UPDATE ",
        "closed": "CLOSED ",
        "event": "{} {}  {}  score {:.2f}",
        "draining": "The edge agent has stopped polling; what waits in its spool is sent …",
        "not drained": "Not everything was acknowledged within {:g} s: {} of {} rounds.",
        "energy": "Energy by time of use, kWh (尖 sharp, 峰 peak, 平 flat, 谷 valley) and maximum demand, kW",
        "columns": "meter,day,sharp,peak,flat,valley,total,max kW",
        "findings": "What was done to the meters, and what was found",
        "found": "found",
        "missed": "NOT FOUND",
        "early": "too early to be found",
        "surplus": "{:<12} found without a cause: {}",
        "honest": "{} meters honest",
        "nothing": "nothing found",
        "verdict": "Produced {} readings in {} rounds; stored {}; twice {}; missing {}.",
        "later": "Everything is kept in {}. Ask it again:",
        "store first": "InfluxDB is stopped now; start it again first:",
        "interrupted": "Stopping early.",
        "retail": "retail",
        "manufacturing": "manufacturing",
        "catering": "catering",
        "logistics": "logistics",
        "ecommerce": "e-commerce",
    },
    "zh": {
        "broker": "消息代理  {}，端口 {}",
        "store": "存储      {}",
        "collector": "采集中心  就绪",
        "park": "园区      {} 块电表：{}；{}",
        "clock": "时钟      从 {:%Y-%m-%d %H:%M} 开始，{:g} 倍速：{:.0f} 小时用时 {:.0f} 秒",
        "edge": "边缘网关  每 {:g} 模拟分钟采集一轮",
        "hour": "{:%m-%d %H:%M}  第 {:<4} 轮 {:>2}/{} 块表  {:7.2f} kW  本小时 {:7.2f} kWh  已入库至第 {} 轮",
        "opened": "发现异常",
        "updated": "更新    ",
        "closed": "恢复    ",
        "event": "{} {}  {}  评分 {:.2f}",
        "draining": "边缘网关已停止采集，正在上送缓存中的数据……",
        "not drained": "{:g} 秒内未全部确认：{}/{} 轮。",
        "energy": "分时电量 kWh（尖、峰、平、谷）与最大需量 kW",
        "columns": "电表,日期,尖,峰,平,谷,合计,最大 kW",
        "findings": "对电表做了什么，发现了什么",
        "found": "已发现",
        "missed": "未发现",
        "early": "时间未到",
        "surplus": "{:<12} 无故报出：{}",
        "honest": "{} 块电表正常",
        "nothing": "无异常",
        "verdict": "产生 {} 条读数、{} 轮；入库 {} 条；重复 {}；缺失 {}。",
        "later": "全部数据保存在 {}，可继续查询：",
        "store first": "InfluxDB 已停止，请先启动：",
        "interrupted": "提前结束。",
        "retail": "零售",
        "manufacturing": "制造",
        "catering": "餐饮",
        "logistics": "仓储物流",
        "ecommerce": "电商",
    },
}


class Narrator:
    """Remembers what was said, so that rounds become one line an hour."""

    def __init__(self, lang: Language, zone: ZoneInfo) -> None:
        """Nothing has happened yet."""
        self._words = _WORDS[lang]
        self._zone = zone
        self._hour: int | None = None
        self._kwh: dict[str, float] = {}
        self._at_hour: dict[str, float] = {}

    def say(self, key: str, *values: object) -> str:
        """One sentence."""
        return self._words[key].format(*values)

    def protocols(self, meters: Iterable[Protocol]) -> str:
        """How many meters speak what."""
        return ", ".join(f"{count} {_PROTOCOLS[spoken]}" for spoken, count in Counter(meters).items())

    def trades(self, counts: Mapping[Trade, int]) -> str:
        """How many meters of each trade."""
        return ", ".join(f"{count} {self._words[trade]}" for trade, count in counts.items() if count)

    def round(self, seq: int, content: Round, acknowledged: int) -> str | None:
        """A line when the hour turns; the energy is the difference of the registers over the hour before."""
        columns = {column.quantity: column.values(content.rows) for column in content.columns}
        for meter, kwh in zip(content.meters, columns.get("active_energy_import", ()), strict=False):
            if kwh is not None:
                self._kwh[meter] = kwh
        hour = content.scheduled_at // _HOUR_MS
        if self._hour is not None and hour <= self._hour:  # a row that came late has a round of its own
            return None
        gained = sum(kwh - self._at_hour[meter] for meter, kwh in self._kwh.items() if meter in self._at_hour)
        first, self._hour, self._at_hour = self._hour is None, hour, dict(self._kwh)
        if first:
            return None
        power = sum(kw for kw in columns.get("active_power", ()) if kw is not None)
        moment = datetime.fromtimestamp(content.scheduled_at / 1000, self._zone)
        return self.say("hour", moment, seq, content.readings, content.rows, power, gained, acknowledged)

    def event(self, event: Mapping[str, Any]) -> list[str]:
        """A finding and its evidence sentences."""
        kind, stage = kind_and_stage(event)
        data = event.get("data", {})
        head = self.say("event", self._words.get(stage, stage), event.get("subject"), kind, data.get("score") or 0.0)
        sentence = data.get("evidence", {}).get("sentence", {})
        return [head, *(f"          {sentence[lang]}" for lang in ("zh", "en") if sentence.get(lang))]

    def energy(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """The table of energy by time of use."""
        lines = [self.say("energy"), _row(self._words["columns"].split(","))]
        for row in rows:
            figures = [row.get(name) for name in ("sharp", "peak", "flat", "valley", "total", "maximum_demand_kw")]
            shown = ["-" if figure is None else f"{figure:.2f}" for figure in figures]
            lines.append(_row([str(row["meter"]), str(row["day"]), *shown]))
        return lines

    def findings(
        self, truth: Sequence[Mapping[str, Any]], events: Iterable[tuple[str, str]], until: datetime
    ) -> list[str]:
        """What was done against what was found, as (kind, meter), by a run that went on ``until`` (simulated)."""
        found = set(events)
        lines, expected = [self.say("findings")], set()
        for record in truth:
            for kind in record["expected"]:
                expected.add((kind, record["meter"]))
                due = datetime.fromisoformat(record["starts_at"]) + _PATIENCE.get(kind, _USUAL_PATIENCE)
                missed = "missed" if due < until else "early"
                result = self._words["found" if (kind, record["meter"]) in found else missed]
                lines.append(f"{record['meter']:<12} {record['scenario']:<15} {kind:<20} {result}")
        allowed = {(kind, record["meter"]) for record in truth for kind in ALLOWED.get(record["scenario"], ())}
        surplus = sorted(found - expected - allowed)
        lines += [self.say("surplus", meter, kind) for kind, meter in surplus]
        honest = [record["meter"] for record in truth if not record["expected"]]
        if not {meter for _, meter in surplus} & set(honest):
            lines.append(_padded(self.say("honest", len(honest)), 50) + self._words["nothing"])
        return lines


def _row(cells: Sequence[str]) -> str:
    """One line of the table of energy: two names, then figures."""
    return _padded(cells[0], 13) + _padded(cells[1], 11) + "".join(_padded(cell, -9) for cell in cells[2:])


def _padded(text: str, columns: int) -> str:
    """Fill up with blanks, on the left for a negative width; a Chinese character takes two columns."""
    width = sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
    blanks = " " * (abs(columns) - width)
    return blanks + text if columns < 0 else text + blanks


def kind_and_stage(event: Mapping[str, Any]) -> tuple[str, str]:
    """``wattline.over_capacity.opened`` → ``over_capacity``, ``opened``."""
    parts = str(event.get("type", "")).removeprefix(_EVENT_PREFIX).split(".")
    return (parts[0], parts[1]) if len(parts) == _EVENT_PARTS else (parts[0], "")
