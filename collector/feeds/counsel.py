"""What to say about a case: to the inspector where to look first, to the customer what it means and what happens next.

The words for the customer accuse nobody: a transformer can fail, a screw can come loose, a shop can change. They say
that the measurement needs inspection, that a visit is announced days before [source paper on quality service], and what
the customer can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from collector.events.message import Words
from collector.feeds.case import CaseText

NAMES: Final[Mapping[str, tuple[str, str]]] = {
    "current_loss": ("失流", "a phase without current"),
    "current_shunt": ("部分分流", "a phase with too little current"),
    "current_imbalance": ("电流不平衡", "unequal phase currents"),
    "severe_current_imbalance": ("电流严重不平衡", "very unequal phase currents"),
    "voltage_loss": ("失压", "a phase without voltage"),
    "phase_loss": ("断相", "a phase without voltage and current"),
    "reverse_flow": ("潮流反向", "reverse power flow"),
    "energy_mismatch": ("电量与功率不符", "register and power disagree"),
    "register_stopped": ("停走", "a register that stands still"),
    "register_fell": ("示度下降", "a register that fell"),
    "register_sum": ("示值不平", "tariff registers that do not add up"),
    "cover_opened": ("开盖", "an opened cover"),
    "terminal_cover_opened": ("开端钮盖", "an opened terminal cover"),
    "magnetic_field": ("磁场干扰", "a magnetic field"),
    "programmed": ("编程", "a meter that was programmed"),
    "clock_set": ("校时", "a clock that was set"),
    "registers_cleared": ("清零", "registers that were cleared"),
    "neutral_mismatch": ("零火线电流不一致", "neutral and phase currents disagree"),
    "clock_offset": ("时钟超差", "a clock that is off"),
    "consumption_suspect": ("用电量异常", "unusual consumption"),
    "feeder_excess": ("馈线线损异常", "an unusual loss of a feeder"),
}
"""Kinds in plain words, Chinese and English."""

_LOOK_FIRST: Final[Mapping[str, tuple[str, str]]] = {
    "current_loss": (
        "先查该相电流互感器二次回路：端子、短接片、保险和接线，再用钳形表对比一次与二次电流",
        "first the secondary circuit of that phase's current transformer: terminals, shorting links, wiring; then "
        "compare primary and secondary current with a clamp",
    ),
    "current_shunt": (
        "先用钳形表测该相一次电流并与电表读数对比，再看互感器变比和接线端",
        "first the primary current of that phase with a clamp against the meter's reading, then transformer ratio and "
        "terminals",
    ),
    "energy_mismatch": (
        "先核对倍率（CT/PT）和电能脉冲常数，再做走字试验",
        "first the CT and PT ratio and the pulse constant in the configuration, then a dial test",
    ),
    "consumption_suspect": (
        "先看总表与分表的台区对应关系，再查表前接线；同时询问经营是否有变化",
        "first that the meter really hangs on this feeder, then the wiring before the meter; ask what has changed in the "
        "business",
    ),
    "feeder_excess": (
        "先查未登记的接线、未抄到的电表和总表本身",
        "first unregistered connections, meters that are not read, and the master itself",
    ),
    "voltage_loss": ("先查该相电压回路的保险和接线", "first fuse and wiring of that phase's voltage circuit"),
    "neutral_mismatch": (
        "先查零线与相线是否另有回路，再用钳形表分别测量",
        "first whether neutral and phase share all loads, then both with a clamp",
    ),
    "registers_cleared": ("先查工单，再与清零前示数核对", "first the work orders, then the registers from before"),
    "programmed": ("先查工单与编程记录", "first the work orders and the log of the meter"),
    "phase_loss": ("先查该相保险与进线", "first fuse and supply of that phase"),
    "register_fell": ("先核对换表、翻转与清零记录", "first exchanges, rollover and clearing of the meter"),
    "register_sum": ("先核对各费率示数与总示数", "first the tariff registers against the total, on the display"),
    "clock_offset": ("先核对电表时钟，必要时校时", "first the clock of the meter; set it if need be"),
    "reverse_flow": (
        "先查该相互感器极性和是否有未登记的发电",
        "first the polarity of that phase's transformer, and generation that is not registered",
    ),
    "register_stopped": ("先做走字试验，再核对倍率", "first a dial test, then the ratio"),
    "cover_opened": ("先查封印编号与工单", "first the seal numbers against the work orders"),
    "terminal_cover_opened": ("先查封印编号与端子接线", "first the seal numbers, then the terminals"),
    "magnetic_field": ("先查电表周围的磁性物体和设备", "first magnets and machines near the meter"),
}
_LOOK_FIRST_ELSE: Final = ("先核对电表读数、接线和封印", "first readings, wiring and seals of the meter")


def kind_name(kind: str) -> Words:
    """A kind in plain words; an unknown one by its own name."""
    zh, en = NAMES.get(kind, (kind, kind.replace("_", " ")))
    return Words(zh=zh, en=en)


def counsel(meter: str, kinds: Sequence[str]) -> CaseText:
    """What to say about a case of a meter; ``kinds`` with the strongest first."""
    looks = list(dict.fromkeys(_LOOK_FIRST.get(kind, _LOOK_FIRST_ELSE) for kind in kinds))
    inspector = Words(
        zh=f"现场：{'；'.join(zh for zh, _ in looks)}。拍照、记录封印号和示数，并核对工单与客户说明。",
        en=f"On site: {'; '.join(en for _, en in looks)}. Take photographs, note seal numbers and registers, "
        "and hear the customer's explanation.",
    )
    customer = Words(
        zh=f"电表 {meter} 的计量需要检查。读数显示某处与平时不同，原因可能是设备老化、接线松动或用电变化，"
        "并不表示您有任何过错。我们会至少提前数日通知您上门检查的时间，检查时您可以在场。"
        "您可以：保持电表周围畅通；告诉我们近期是否停业、施工、更换设备或装修；保存相关凭据。"
        "如果检查证实计量正确，此事即告结束。",
        en=f"The measurement of meter {meter} needs inspection. Something in its readings is not as usual; worn equipment, a "
        "loose connection or a change in use can be the reason, and it does not mean that you did anything wrong. We "
        "announce our visit days before, and you may be present. You can keep the meter accessible and tell us about "
        "closures, building work or new equipment. If the measurement proves right, the matter is closed.",
    )
    return CaseText(inspector=inspector, customer=customer)
