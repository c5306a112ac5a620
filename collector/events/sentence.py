"""One plain sentence for a finding, in Chinese and English.

It says what was read and what to do next. It never says "theft": the measurement needs inspection, and a person
decides what it means. Times are those of the meter's site.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from collector.checks.check import Finding
from collector.checks.rules import PHASES
from collector.events.integrity_sentences import TEMPLATES as INTEGRITY

_TEMPLATES: Final[Mapping[str, tuple[str, str]]] = {
    **INTEGRITY,
    "current_loss.opened": (
        "电表 {meter}：自 {start} 起，{part} 相电压正常（{voltage:.0f} V）但电流仅 {current_a:.2f} A，"
        "而其余两相平均 {others_a:.1f} A（平时约 {usual_others_a:.1f} A）。该相用电可能未被计量，"
        "至今约 {kwh} kWh。请安排计量检查。",
        "Meter {meter}: since {start} phase {part} has its voltage ({voltage:.0f} V) but only {current_a:.2f} A, while "
        "the other phases carry {others_a:.1f} A on average (usually {usual_others_a:.1f} A). Its consumption may not "
        "be measured, about {kwh} kWh so far. The measurement needs inspection.",
    ),
    "current_loss.closed": (
        "电表 {meter}：{part} 相电流自 {end} 起恢复正常。{start} 至 {end} 期间约 {kwh} kWh 可能未被计量。",
        "Meter {meter}: phase {part} carries current again since {end}. From {start} to {end} about {kwh} kWh may not "
        "have been measured.",
    ),
    "current_shunt.opened": (
        "电表 {meter}：自 {start} 起，{part} 相电流只有三相中位值的 {share_percent:.0f}%（{current_a:.2f} A，"
        "其余两相平均 {others_a:.1f} A），平时为 {usual_percent:.0f}%。可能有部分电流绕过计量，"
        "至今约 {kwh} kWh。请安排计量检查。",
        "Meter {meter}: since {start} phase {part} carries only {share_percent:.0f} % of the median phase current "
        "({current_a:.2f} A, the others {others_a:.1f} A on average), where {usual_percent:.0f} % is usual. Part of "
        "the current may not be measured, about {kwh} kWh so far. The measurement needs inspection.",
    ),
    "current_shunt.closed": (
        "电表 {meter}：{part} 相电流自 {end} 起恢复到平常比例。{start} 至 {end} 期间约 {kwh} kWh 可能未被计量。",
        "Meter {meter}: phase {part} carries its usual share again since {end}. From {start} to {end} about {kwh} kWh "
        "may not have been measured.",
    ),
    "energy_mismatch.opened": (
        "电表 {meter}：截至 {end_of_window} 的 24 小时内，电能示数增加 {register_kwh:.1f} kWh，"
        "而功率积分为 {integrated_kwh:.1f} kWh（相差 {difference_percent:+.0f}%）。两者应当一致，请安排计量检查。",
        "Meter {meter}: in the 24 hours to {end_of_window} the register rose by {register_kwh:.1f} kWh, while the power "
        "integrates to {integrated_kwh:.1f} kWh ({difference_percent:+.0f} %). They should agree. "
        "The measurement needs inspection.",
    ),
    "energy_mismatch.closed": (
        "电表 {meter}：截至 {end_of_window}，电能示数与功率积分重新一致。",
        "Meter {meter}: register and integrated power agree again as of {end_of_window}.",
    ),
    "over_capacity.opened": (
        "电表 {meter}：自 {start} 起，15 分钟平均视在功率达到 {peak_kva:.1f} kVA，超过合同容量 {contract_kva:.0f} kVA，"
        "且无已批准的临时增容。",
        "Meter {meter}: since {start} the 15-minute mean apparent power reached {peak_kva:.1f} kVA, above the contracted "
        "{contract_kva:.0f} kVA, and no temporary capacity was approved.",
    ),
    "over_capacity.closed": (
        "电表 {meter}：自 {end} 起不再超过合同容量 {contract_kva:.0f} kVA。期间最高 {peak_kva:.1f} kVA，"
        "超出约 {hours:.2f} 小时。",
        "Meter {meter}: within the contracted {contract_kva:.0f} kVA again since {end}. The highest block was "
        "{peak_kva:.1f} kVA; the contract was exceeded for about {hours:.2f} h.",
    ),
    "temporary_capacity.opened": (
        "电表 {meter}：自 {start} 起使用已批准的临时增容（批准 {approved_kva:.0f} kVA，合同 {contract_kva:.0f} kVA，"
        "当前 {peak_kva:.1f} kVA）。",
        "Meter {meter}: uses its approved temporary capacity since {start} (approved {approved_kva:.0f} kVA, contracted "
        "{contract_kva:.0f} kVA, now {peak_kva:.1f} kVA).",
    ),
    "temporary_capacity.closed": (
        "电表 {meter}：临时增容窗口已于 {end} 结束。期间最高 {peak_kva:.1f} kVA（合同 {contract_kva:.0f} kVA），"
        "超过合同容量约 {hours:.2f} 小时、{kwh_above:.1f} kWh。",
        "Meter {meter}: the window of temporary capacity ended at {end}. The highest block was {peak_kva:.1f} kVA "
        "(contracted {contract_kva:.0f} kVA); for about {hours:.2f} h and {kwh_above:.1f} kWh it was above the contract.",
    ),
    "temporary_capacity_unused.closed": (
        "电表 {meter}：{start} 至 {end} 批准的临时增容（{approved_kva:.0f} kVA）未使用："
        "观测到的 {observed_hours:.2f} 小时内均未超过合同容量 {contract_kva:.0f} kVA。",
        "Meter {meter}: the temporary capacity approved from {start} to {end} ({approved_kva:.0f} kVA) was not used: in the "
        "{observed_hours:.2f} h that were observed, the contracted {contract_kva:.0f} kVA were never exceeded.",
    ),
    "capacity_warning.opened": (
        "电表 {meter}：自 {start} 起，15 分钟平均视在功率达到 {peak_kva:.1f} kVA，为当前有效容量 {limit_kva:.1f} kVA 的 "
        "{share_percent:.0f}%。",
        "Meter {meter}: since {start} the 15-minute mean apparent power reached {peak_kva:.1f} kVA, {share_percent:.0f} % "
        "of the {limit_kva:.1f} kVA in force.",
    ),
    "capacity_warning.closed": (
        "电表 {meter}：自 {end} 起用电容量回落到预警值以下。期间最高 {peak_kva:.1f} kVA。",
        "Meter {meter}: well within its capacity again since {end}. The highest block was {peak_kva:.1f} kVA.",
    ),
    "over_approved.opened": (
        "电表 {meter}：自 {start} 起，15 分钟平均视在功率达到 {peak_kva:.1f} kVA，超过已批准的临时容量 {limit_kva:.1f} kVA。",
        "Meter {meter}: since {start} the 15-minute mean apparent power reached {peak_kva:.1f} kVA, above the approved "
        "temporary {limit_kva:.1f} kVA.",
    ),
    "over_approved.closed": (
        "电表 {meter}：自 {end} 起不再超过已批准的临时容量。期间最高 {peak_kva:.1f} kVA，超出约 {hours:.2f} 小时。",
        "Meter {meter}: within the approved temporary capacity again since {end}. The highest block was {peak_kva:.1f} "
        "kVA; it was exceeded for about {hours:.2f} h.",
    ),
    "consumption_suspect.opened": (
        "电表 {meter}：{start} 当日上报 {reported_kwh:.1f} kWh（按以往应约 {expected_kwh:.1f} kWh）。馈线 {feeder} 的总表与分表"
        "之差与该表自身的用电曲线吻合，约 {kwh} kWh 可能未被计量。请安排计量检查。",
        "Meter {meter}: on the day from {start} it reported {reported_kwh:.1f} kWh (about {expected_kwh:.1f} kWh is usual). "
        "What the master of feeder {feeder} counted beyond its meters follows this meter's own load; about {kwh} kWh may "
        "not have been measured. The measurement needs inspection.",
    ),
    "consumption_suspect.closed": (
        "电表 {meter}：自 {end} 起馈线平衡恢复正常。{start} 至 {end} 期间约 {kwh} kWh 可能未被计量。",
        "Meter {meter}: the balance of its feeder closes again since {end}. From {start} to {end} about {kwh} kWh may not "
        "have been measured.",
    ),
    "consumption_change.opened": (
        "电表 {meter}：自 {start} 起连续七天用电量与以往相差 {change_percent:+.0f}%（当日 {reported_kwh:.1f} kWh）。"
        "这是用电变化的事实说明，并非计量异常。",
        "Meter {meter}: since {start} its consumption differs from what was usual by {change_percent:+.0f} % on seven days in "
        "a row ({reported_kwh:.1f} kWh that day). This states a change of use, not a fault of the measurement.",
    ),
    "consumption_change.closed": (
        "电表 {meter}：自 {end} 起用电量恢复到平常水平，或新的水平已成为常态。",
        "Meter {meter}: since {end} its consumption is as usual again, or the new level has become the usual one.",
    ),
    "capacity_forecast.opened": (
        "电表 {meter}：预计 {day} {hour} 前后 15 分钟平均视在功率约 {expected_kva:.1f} kVA（80% 区间上限 {upper_kva:.1f} kVA），"
        "超过当日有效容量 {limit_kva:.1f} kVA；刚结束的一天已达 {reached_kva:.1f} kVA{assumed_zh}。请错峰用电或申请临时增容。",
        "Meter {meter}: on {day} around {hour} a 15-minute mean of about {expected_kva:.1f} kVA is expected (upper bound of "
        "the 80 % interval {upper_kva:.1f} kVA), where {limit_kva:.1f} kVA are in force; the day just over reached "
        "{reached_kva:.1f} kVA{assumed_en}. Shift load, or apply for temporary capacity.",
    ),
    "capacity_forecast.closed": (
        "电表 {meter}：{day} 已过。预计约 {expected_kva:.1f} kVA，实际最高 {reached}，有效容量 {limit_kva:.1f} kVA。",
        "Meter {meter}: {day} is over. About {expected_kva:.1f} kVA were expected, the highest quarter of an hour was "
        "{reached}, and {limit_kva:.1f} kVA were in force.",
    ),
    "festival_forecast.opened": (
        "电表 {meter}：预计节日 {day} {hour} 前后 15 分钟平均视在功率约 {expected_kva:.1f} kVA，当日有效容量 {limit_kva:.1f} kVA"
        "（平日约 {present_kva:.1f} kVA × {surge_ratio:.2f}，依据：{basis_zh}）{assumed_zh}。如有需要请提前申请临时增容。",
        "Meter {meter}: at the festival on {day} around {hour} a 15-minute mean of about {expected_kva:.1f} kVA is expected, "
        "where {limit_kva:.1f} kVA are in force (about {present_kva:.1f} kVA on an ordinary day × {surge_ratio:.2f}, from "
        "{basis_en}){assumed_en}. If more is needed, apply for temporary capacity in time.",
    ),
    "festival_forecast.closed": (
        "电表 {meter}：节日 {day} 已过。预计约 {expected_kva:.1f} kVA，实际最高 {reached}，有效容量 {limit_kva:.1f} kVA。",
        "Meter {meter}: the festival on {day} is over. About {expected_kva:.1f} kVA were expected, the highest quarter of an "
        "hour was {reached}, and {limit_kva:.1f} kVA were in force.",
    ),
    "feeder_excess.opened": (
        "馈线 {part}（总表 {meter}）：自 {start} 起，总表比分表之和多出的电量超过正常线损（当日 {excess_kwh:.1f} kWh，"
        "正常不超过 {usual_kwh:.1f} kWh），无法归到某一块电表。请检查未登记的接线、未抄电表和总表。",
        "Feeder {part} (master {meter}): since {start} the master counts more than its meters and the usual loss explain "
        "({excess_kwh:.1f} kWh that day, usually at most {usual_kwh:.1f} kWh), and no single meter accounts for it. Look for "
        "unregistered connections, unread meters and the master itself.",
    ),
    "feeder_excess.closed": (
        "馈线 {part}（总表 {meter}）：自 {end} 起线损恢复正常。",
        "Feeder {part} (master {meter}): the loss is as usual again since {end}.",
    ),
}


_CLOCK_OFF: Final = {
    "zh": "电表时钟偏差超限，该时刻仅供参考。",
    "en": " The meter's clock is off, so that the instant is doubtful.",
}


def sentences(finding: Finding, meter: str, zone: ZoneInfo) -> dict[str, str]:
    """The sentence of a finding, by language."""
    chinese, english = _TEMPLATES[f"{finding.kind}.{finding.lifecycle}"]
    phase = finding.part.lower()
    words = {
        **finding.readings,
        **finding.limits,
        **finding.facts,
        "meter": meter,
        "part": finding.part,
        "part_zh": f"{finding.part} 相" if finding.part in PHASES else "",
        "part_en": f"phase {finding.part}" if finding.part in PHASES else "the meter",
        "start": _local(finding.started_at, zone),
        "end": "" if finding.ended_at is None else _local(finding.ended_at, zone),
        "end_of_window": _local(finding.at, zone),
        "kwh": "" if finding.energy is None else f"{finding.energy.best:.1f}",
        "voltage": finding.readings.get(f"voltage_{phase}", float("nan")),
    }
    doubt = _CLOCK_OFF if finding.facts.get("meter_clock_off") else {"zh": "", "en": ""}
    return {"zh": chinese.format(**words) + doubt["zh"], "en": english.format(**words) + doubt["en"]}


def _local(at_ms: float, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M")
