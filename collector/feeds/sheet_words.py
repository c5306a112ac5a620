"""Words of the evidence sheet, Chinese and English; what is not listed stands under its own name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from metering.language import Language
from metering.quantity import QUANTITIES

HEADINGS: Final[Mapping[Language, Mapping[str, str]]] = {
    "en": {
        "title": "Evidence sheet: the measurement needs inspection",
        "account": "Account",
        "meter": "Meter",
        "site": "Site",
        "case": "Case",
        "since": "Since",
        "until": "until",
        "lasting": "it lasts",
        "status": "Status",
        "found": "What was found",
        "measured": "What was measured",
        "against": "Limits in force",
        "ruled_out": "What was ruled out",
        "stake": "Energy that may not have been measured",
        "stake_unknown": "It cannot be said from these readings.",
        "stake_text": "about {best:.1f} kWh (between {low:.1f} and {high:.1f} kWh)",
        "next": "What happens next",
        "score": "Evidence together",
        "configuration": "Configuration in force",
        "load": "Load around the start, kW (mean of 15 minutes)",
        "more": "and {n} more",
        "nothing": "nothing was examined",
        "note": "Times are local time of the site ({zone}).",
    },
    "zh": {
        "title": "证据单：计量需要检查",
        "account": "账户",
        "meter": "电表",
        "site": "站点",
        "case": "案件",
        "since": "开始",
        "until": "结束",
        "lasting": "仍在持续",
        "status": "状态",
        "found": "发现",
        "measured": "测得数据",
        "against": "生效的限值",
        "ruled_out": "已排除的原因",
        "stake": "可能未被计量的电量",
        "stake_unknown": "从现有读数无法推算。",
        "stake_text": "约 {best:.1f} kWh（{low:.1f} 至 {high:.1f} kWh 之间）",
        "next": "下一步",
        "score": "综合证据强度",
        "configuration": "生效配置",
        "load": "开始前后的负荷，kW（15 分钟平均）",
        "more": "另有 {n} 项",
        "nothing": "未作排除",
        "note": "时间均为站点当地时间（{zone}）。",
    },
}

STATUS: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("处理中", "open"),
    "ended": ("已结束", "ended"),
    "withdrawn": ("已撤回：补收的数据表明并非如此", "withdrawn: what came late shows otherwise"),
    "confirmed": ("现场已确认", "confirmed on site"),
    "dismissed": ("现场核实计量正确", "the measurement proved right"),
}

_RULED_OUT: Final[Mapping[str, tuple[str, str]]] = {
    "outage": ("停电", "an outage"),
    "communication_gap": ("通信中断", "a gap in communication"),
    "holiday": ("节假日", "a holiday"),
    "announced_closure": ("报备停业", "an announced closure"),
    "technical_loss": ("正常线损", "the usual loss of the line"),
    "other_meters_of_the_feeder": ("同馈线其他电表", "other meters of the feeder"),
    "phase_never_loaded": ("该相从未带负荷", "a phase that never carried load"),
    "phase_never_kept_up": ("该相向来电流较小", "a phase that always carried less"),
    "low_load": ("负荷过低", "too little load to judge"),
    "usual_idle_time": ("平时即无负荷的时段", "hours in which it is usually idle"),
    "usual_low_time": ("平时即低负荷的时段", "hours in which it is usually low"),
    "uneven_intervals": ("抄读间隔不均", "uneven reading intervals"),
    "sampling": ("采样误差", "the error of sampling"),
    "short_peaks": ("瞬时尖峰", "short peaks"),
    "network_sag": ("电网电压暂降", "a sag of the network"),
    "registered_generation": ("已登记的发电", "registered generation"),
    "resolution_of_the_register": ("示数分辨率", "the resolution of the register"),
    "load_without_voltage": ("无电压时仍有负荷", "load without voltage"),
    "phase_loss": ("断相", "a phase without voltage and current"),
    "transient_value": ("瞬时错误读数", "a transient wrong value"),
    "rollover": ("示数翻转", "a rollover of the register"),
    "registered_exchange": ("已登记的换表", "a registered exchange of the meter"),
    "announced_change": ("已报备的变更", "an announced change"),
    "festival": ("促销节日", "a sales festival"),
    "approved_work_order": ("已批准的工单", "an approved work order"),
    "approved_window": ("已批准的临时增容", "approved temporary capacity"),
}

_PHASES: Final = ("l1", "l2", "l3", "n")
_QUANTITIES_ZH: Final[Mapping[str, str]] = {
    "voltage": "电压",
    "current": "电流",
    "active_power": "有功功率",
    "reactive_power": "无功功率",
    "apparent_power": "视在功率",
    "power_factor": "功率因数",
    "frequency": "频率",
    "active_energy_import": "正向有功示数",
    "active_energy_export": "反向有功示数",
    "reactive_energy_import": "正向无功示数",
    "reactive_energy_export": "反向无功示数",
    "reactive_energy": "无功示数",
    "apparent_energy_import": "正向视在电能示数",
    "demand": "需量",
    "maximum_demand": "最大需量",
    "clock_offset": "时钟偏差",
}
_PARTS_ZH: Final[Mapping[str, str]] = {
    **{f"l{n}": f"L{n} 相{{}}" for n in (1, 2, 3)},
    "n": "零线{}",
    **{f"q{n}": f"{{}}（第{name}象限）" for n, name in enumerate("一二三四", 1)},
    **{f"t{n}": f"{{}}（费率 {n}）" for n in (1, 2, 3, 4)},
}
_SUMS: Final[Mapping[str, tuple[str, str, str]]] = {  # what was reckoned from readings: Chinese, English, unit
    "integrated_kwh": ("功率积分电量", "energy from power", "kWh"),
    "register_kwh": ("示数增量", "rise of the register", "kWh"),
    "quality": ("质量标志", "quality bits", ""),
}


_LIMITS: Final[Mapping[str, tuple[str, str]]] = {
    "voltage_share": ("电压不低于额定值的", "share of the nominal voltage, at least"),
    "current_a": ("电流低于", "current below"),
    "recover_a": ("恢复电流", "it is over from"),
    "usual_share": ("其余相电流不低于平时的", "share of the other phases' usual current, at least"),
    "delay_s": ("持续", "for"),
    "readings": ("连续读数", "readings in a row"),
    "relative": ("相差", "difference of"),
    "absolute_kwh": ("另加", "and in addition"),
    "window_h": ("统计时长", "over"),
    "contract_kva": ("合同容量", "contracted capacity"),
    "approved_kva": ("批准容量", "approved capacity"),
    "limit_kva": ("有效容量", "capacity in force"),
    "base_current_a": ("基本电流", "base current"),
    "maximum_current_a": ("最大电流", "maximum current"),
    "nominal_voltage_v": ("额定电压", "nominal voltage"),
    "current": ("电流低于基本电流的", "current below this share of the base current:"),
    "load": ("带负荷指电流不低于基本电流的", "load from this share of the base current:"),
    "voltage": ("电压与额定值之比的限值", "limit of the voltage, share of nominal:"),
    "usual": ("与平时之比的限值", "limit beside what is usual:"),
    "idle": ("平时空闲时长的倍数", "times the usual idle time"),
    "loaded_quarters": ("此前带负荷的刻钟数", "quarters of an hour with load before"),
    "score": ("证据强度达到", "evidence from"),
    "clear": ("证据强度低于此值即恢复", "it is over below"),
    "share": ("占比", "share of"),
    "deviations": ("超出平常波动的倍数", "times the usual spread"),
}
_UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "share": ("%", 100.0),
    **dict.fromkeys(("relative", "current", "load", "voltage", "usual"), ("%", 100.0)),
    "a": ("A", 1.0),
    "s": ("s", 1.0),
    "h": ("h", 1.0),
    "v": ("V", 1.0),
    "kw": ("kW", 1.0),
    "kva": ("kVA", 1.0),
    "kwh": ("kWh", 1.0),
}


def limit(name: str, lang: Language) -> tuple[str, str, float]:
    """A limit in plain words, its unit, and what its number is multiplied by to have that unit."""
    zh, en = _LIMITS.get(name, (name.replace("_", " "), name.replace("_", " ")))
    unit, scale = _UNITS.get(name.rpartition("_")[2], ("", 1.0))
    return (zh if lang == "zh" else en), unit, scale


def ruled_out(name: str, lang: Language) -> str:
    """An innocent explanation in plain words."""
    zh, en = _RULED_OUT.get(name, (name.replace("_", " "), name.replace("_", " ")))
    return zh if lang == "zh" else en


def quantity(name: str, lang: Language) -> tuple[str, str]:
    """A quantity in plain words, and its unit."""
    if name in _SUMS:
        zh, en, unit = _SUMS[name]
        return (zh if lang == "zh" else en), unit
    known = QUANTITIES.get(name)
    unit = known.unit if known else ""
    stem, _, part = name.rpartition("_")
    if lang == "en":
        return (f"{stem.replace('_', ' ')} {part.upper()}" if part in _PHASES else name.replace("_", " ")), unit
    whole = _QUANTITIES_ZH.get(stem)
    return (_PARTS_ZH[part].format(whole) if whole and part in _PARTS_ZH else _QUANTITIES_ZH.get(name, name)), unit
