"""The sentences of the integrity checks: what was read, what it may mean, and what to do.

An opened finding has a sentence of its own. What is over, and what still goes on, is said in the same words for every
kind, with its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Pair = tuple[str, str]

_INSPECT: Final[Pair] = ("请安排计量检查。", "The measurement needs inspection.")

_OPENED: Final[Mapping[str, Pair]] = {
    "voltage_loss": (
        "电表 {meter}：自 {start} 起，{part} 相电压仅 {voltage_v:.0f} V（额定 {nominal_v:.0f} V），但该相仍有 {current_a:.2f} A 电流。"
        "该相用电可能少计，至今约 {kwh} kWh。请安排计量检查。",
        "Meter {meter}: since {start} phase {part} shows only {voltage_v:.0f} V of {nominal_v:.0f} V, though it carries "
        "{current_a:.2f} A. Too little may be measured, about {kwh} kWh so far. The measurement needs inspection.",
    ),
    "undervoltage": (
        "电表 {meter}：自 {start} 起，{part} 相电压偏低，为 {voltage_v:.0f} V（额定 {nominal_v:.0f} V）。请查看供电与接线。",
        "Meter {meter}: since {start} the voltage of phase {part} is low, {voltage_v:.0f} V of {nominal_v:.0f} V. "
        "Supply and wiring should be looked at.",
    ),
    "overvoltage": (
        "电表 {meter}：自 {start} 起，{part} 相电压偏高，为 {voltage_v:.0f} V（额定 {nominal_v:.0f} V），可能损坏设备。请查看供电。",
        "Meter {meter}: since {start} the voltage of phase {part} is high, {voltage_v:.0f} V of {nominal_v:.0f} V, and may "
        "harm devices. The supply should be looked at.",
    ),
    "phase_loss": (
        "电表 {meter}：自 {start} 起，{part} 相既无电压（{voltage_v:.0f} V）也无电流，其他相有 {highest_v:.0f} V。请查看该相的熔断器或接线。",
        "Meter {meter}: since {start} phase {part} has neither voltage ({voltage_v:.0f} V) nor current, while another has "
        "{highest_v:.0f} V. Fuse and wiring of this phase should be looked at.",
    ),
    "voltage_imbalance": (
        "电表 {meter}：自 {start} 起，各相电压在 {lowest_v:.0f} V 与 {highest_v:.0f} V 之间，相差过大。请查看零线与供电。",
        "Meter {meter}: since {start} the phase voltages lie between {lowest_v:.0f} V and {highest_v:.0f} V, too far apart. "
        "Neutral and supply should be looked at.",
    ),
    "outage": ("电表 {meter}：自 {start} 起停电。", "Meter {meter}: there is a power outage since {start}."),
    "over_current": (
        "电表 {meter}：自 {start} 起，{part} 相电流达 {current_a:.1f} A，超过电表最大电流 {maximum_a:.0f} A。电表和接线可能过热，请查看。",
        "Meter {meter}: since {start} phase {part} carries {current_a:.1f} A, above the meter's maximum of "
        "{maximum_a:.0f} A. Meter and wiring may get too hot: someone should have a look.",
    ),
    "overload": (
        "电表 {meter}：自 {start} 起，{part} 相负荷达 {phase_kva:.1f} kVA，超过电表每相 {rated_kva:.1f} kVA 的能力。请查看。",
        "Meter {meter}: since {start} phase {part} carries {phase_kva:.1f} kVA, above the {rated_kva:.1f} kVA the meter is "
        "rated for. Someone should have a look.",
    ),
    "current_imbalance": (
        "电表 {meter}：自 {start} 起，三相电流不平衡度约 {imbalance_percent:.0f}%，平时约 {usual_percent:.0f}%。用电在各相间的分布有变化，供参考。",
        "Meter {meter}: since {start} the phase currents are about {imbalance_percent:.0f} % apart, where "
        "{usual_percent:.0f} % is usual. The load has moved between the phases; for information.",
    ),
    "severe_current_imbalance": (
        "电表 {meter}：自 {start} 起，三相电流严重不平衡，约 {imbalance_percent:.0f}%，平时约 {usual_percent:.0f}%。零线可能过载，请电工查看。",
        "Meter {meter}: since {start} nearly all current flows on one phase ({imbalance_percent:.0f} % apart, usually "
        "{usual_percent:.0f} %). The neutral may be overloaded: an electrician should have a look.",
    ),
    "neutral_mismatch": (
        "电表 {meter}：自 {start} 起，零线电流 {neutral_a:.2f} A，与相线电流 {phase_a:.2f} A 不一致，"
        "可能有用电未被计量，至今约 {kwh} kWh。请安排计量检查。",
        "Meter {meter}: since {start} the neutral carries {neutral_a:.2f} A and the phase {phase_a:.2f} A. Some "
        "consumption may not be measured, about {kwh} kWh so far. The measurement needs inspection.",
    ),
    "reverse_flow": (
        "电表 {meter}：自 {start} 起，{part_zh}功率为 {power_kw:.2f} kW（反向）{by_zh}，而登记中没有发电设备。"
        "电流接线可能接反，至今约 {kwh} kWh 可能少计。请安排计量检查。",
        "Meter {meter}: since {start} {part_en} shows {power_kw:.2f} kW{by_en}, that is power flowing back, though no generation "
        "is registered. A current connection may be reversed; about {kwh} kWh may not have been counted so far. "
        "The measurement needs inspection.",
    ),
    "low_power_factor": (
        "电表 {meter}：自 {start} 起，功率因数仅 {factor:.2f}（视在功率 {apparent_kva:.1f} kVA）。请查看无功补偿和接线。",
        "Meter {meter}: since {start} the power factor is only {factor:.2f} at {apparent_kva:.1f} kVA. Compensation and "
        "wiring should be looked at.",
    ),
    "demand_limit": (
        "电表 {meter}：自 {start} 起，需量达 {demand_kw:.1f} kW，超过电表 {rated_kw:.1f} kW 的能力。请查看。",
        "Meter {meter}: since {start} the demand is {demand_kw:.1f} kW, above the {rated_kw:.1f} kW the meter is rated "
        "for. Someone should have a look.",
    ),
    "register_jumped": (
        "电表 {meter}：{start} 电能示数跳升 {jump_kwh:.1f} kWh（现为 {register_kwh:.1f} kWh），超过该表额定能力，且已由第二次读数确认。"
        "跳升部分未计入电量。请安排计量检查。",
        "Meter {meter}: at {start} the register jumped up by {jump_kwh:.1f} kWh (now {register_kwh:.1f} kWh), more than the "
        "meter can carry, and a second reading confirms it. The jump is counted in no energy. The measurement needs "
        "inspection.",
    ),
    "register_fell": (
        "电表 {meter}：电能示数于 {start} 由 {before_kwh:.2f} kWh 降至 {after_kwh:.2f} kWh，且无换表登记。请安排计量检查。",
        "Meter {meter}: at {start} the energy register fell from {before_kwh:.2f} to {after_kwh:.2f} kWh, and no exchange "
        "of the meter is registered. The measurement needs inspection.",
    ),
    "register_stopped": (
        "电表 {meter}：自 {start} 起，电能示数停在 {register_kwh:.2f} kWh，而按功率应增加约 {expected_kwh:.1f} kWh。请安排计量检查。",
        "Meter {meter}: the energy register stands at {register_kwh:.2f} kWh since {start}, while the power makes about "
        "{expected_kwh:.1f} kWh. The measurement needs inspection.",
    ),
    "register_sum": (
        "电表 {meter}：自 {start} 起，总示数 {register_kwh:.2f} kWh 与各费率示数之和 {sum_kwh:.2f} kWh 不一致"
        "（相差 {difference_kwh:+.2f} kWh）。请安排计量检查。",
        "Meter {meter}: since {start} the total register ({register_kwh:.2f} kWh) and the sum of its tariff registers "
        "({sum_kwh:.2f} kWh) differ by {difference_kwh:+.2f} kWh. The measurement needs inspection.",
    ),
    "clock_offset": (
        "电表 {meter}：自 {start} 起，电表时钟偏差约 {offset_minutes:+.0f} 分钟，其自身的分时电量不可用。请校时。",
        "Meter {meter}: since {start} the meter's clock is {offset_minutes:+.0f} min off, so that its own energy by tariff "
        "period cannot be used. The clock should be set.",
    ),
    "read_failure": (
        "电表 {meter}：自 {start} 起连续多次抄读失败，而同一线路正常。请查看通信接线。",
        "Meter {meter}: it does not answer since {start}, though its line works. The communication wiring should be "
        "looked at.",
    ),
    "cover_opened": (
        "电表 {meter}：{start} 电表上盖被打开，且无登记的工作单。请核实。",
        "Meter {meter}: its cover was opened at {start}, and no work order is registered. Someone should have a look.",
    ),
    "terminal_cover_opened": (
        "电表 {meter}：{start} 端子盖被打开，且无登记的工作单。请核实。",
        "Meter {meter}: its terminal cover was opened at {start}, and no work order is registered. "
        "Someone should have a look.",
    ),
    "magnetic_field": (
        "电表 {meter}：{start} 检测到强磁场，计量可能受影响。请安排计量检查。",
        "Meter {meter}: a strong magnetic field was detected at {start}; it may disturb the measurement. "
        "The measurement needs inspection.",
    ),
    "clock_set": (
        "电表 {meter}：{start} 时钟被调整，且无登记的工作单。请核实。",
        "Meter {meter}: its clock was set at {start}, and no work order is registered. Someone should have a look.",
    ),
    "programmed": (
        "电表 {meter}：{start} 参数被修改，且无登记的工作单。请核实。",
        "Meter {meter}: it was programmed at {start}, and no work order is registered. Someone should have a look.",
    ),
    "registers_cleared": (
        "电表 {meter}：{start} 电能示数被清零，且无登记的工作单。请核实。",
        "Meter {meter}: its registers were cleared at {start}, and no work order is registered. Someone should have a look.",
    ),
}

_NAMES: Final[Mapping[str, Pair]] = {
    "voltage_loss": ("失压", "the voltage loss"),
    "undervoltage": ("欠压", "the low voltage"),
    "overvoltage": ("过压", "the high voltage"),
    "phase_loss": ("断相", "the loss of the phase"),
    "voltage_imbalance": ("电压不平衡", "the imbalance of the voltages"),
    "outage": ("停电", "the power outage"),
    "current_loss": ("失流", "the loss of current"),
    "current_shunt": ("电流偏低", "the low share of current"),
    "over_current": ("过流", "the excess current"),
    "overload": ("过载", "the overload"),
    "current_imbalance": ("电流不平衡", "the unusual imbalance of the currents"),
    "severe_current_imbalance": ("电流严重不平衡", "the severe imbalance of the currents"),
    "neutral_mismatch": ("零线与相线电流不一致", "the difference between neutral and phase"),
    "reverse_flow": ("反向潮流", "the reverse flow"),
    "low_power_factor": ("功率因数过低", "the low power factor"),
    "demand_limit": ("需量超限", "the excess demand"),
    "register_jumped": ("示数跳升", "a register that jumped"),
    "register_fell": ("示数下降", "the fall of the register"),
    "register_stopped": ("示数停走", "the standstill of the register"),
    "register_sum": ("示值不平", "the difference between total and tariff registers"),
    "clock_offset": ("时钟偏差", "the offset of the clock"),
    "read_failure": ("抄表失败", "the failure to answer"),
}

_LOGGED: Final = (
    "cover_opened",
    "terminal_cover_opened",
    "magnetic_field",
    "clock_set",
    "programmed",
    "registers_cleared",
)
_WITH_ENERGY: Final = (
    "voltage_loss",
    "current_loss",
    "current_shunt",
    "neutral_mismatch",
    "reverse_flow",
    "register_fell",
    "register_stopped",
    "register_sum",
)


def _templates() -> dict[str, Pair]:
    found = {f"{kind}.opened": pair for kind, pair in _OPENED.items()}
    for kind, (chinese, english) in _NAMES.items():
        energy = (
            ("，期间约 {kwh} kWh 可能计量不准", "; about {kwh} kWh may be wrong") if kind in _WITH_ENERGY else ("", "")
        )
        found[f"{kind}.closed"] = (
            f"电表 {{meter}}：{{part_zh}}{chinese}已于 {{end}} 结束（始于 {{start}}）{energy[0]}。",
            f"Meter {{meter}}: {english} on {{part_en}} is over since {{end}} (it began at {{start}}){energy[1]}.",
        )
        if kind in _WITH_ENERGY:
            found[f"{kind}.updated"] = (
                f"电表 {{meter}}：{{part_zh}}{chinese}自 {{start}} 起仍在持续，至今约 {{kwh}} kWh 可能计量不准。{_INSPECT[0]}",
                f"Meter {{meter}}: {english} on {{part_en}}, since {{start}}, still goes on; about {{kwh}} kWh may be wrong "
                f"so far. {_INSPECT[1]}",
            )
    for kind in _LOGGED:
        found[f"{kind}.closed"] = (
            "电表 {meter}：{start} 的电表事件已结束（{end}）。",
            "Meter {meter}: what its log recorded at {start} is over since {end}.",
        )
    return found


TEMPLATES: Final[Mapping[str, Pair]] = _templates()
