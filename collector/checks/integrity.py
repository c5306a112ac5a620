"""The integrity checks together: their limits in one place, and what is laid over them for classes of meters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from collector.checks.check import SparseCheck
from collector.checks.clock_offset import ClockOffset, ClockOffsetSettings
from collector.checks.current import Current, NeutralMismatchSettings, OverCurrentSettings
from collector.checks.current_imbalance import CurrentImbalanceSettings, SevereCurrentImbalanceSettings
from collector.checks.current_loss import CurrentLossSettings
from collector.checks.current_shunt import CurrentShuntSettings
from collector.checks.meter_class import ByClass, Fits, MeterClasses
from collector.checks.meter_log import MeterLog
from collector.checks.power import (
    DemandLimitSettings,
    LowPowerFactorSettings,
    OverloadSettings,
    Power,
    ReverseFlowSettings,
)
from collector.checks.read_failure import ReadFailure, ReadFailureSettings
from collector.checks.registers import RegisterFellSettings, Registers, RegisterStoppedSettings, RegisterSumSettings
from collector.checks.voltage import (
    OutageSettings,
    OvervoltageSettings,
    PhaseLossSettings,
    UndervoltageSettings,
    Voltage,
    VoltageImbalanceSettings,
    VoltageLossSettings,
)
from collector.registry.records import Meter, Trade
from metering.settings import Settings

_CONDITIONS: Final = ("phases", "nominal_voltage_v", "trade")


class IntegritySettings(Settings):
    """Limits of the integrity checks, kind by kind."""

    voltage_loss: VoltageLossSettings = Field(VoltageLossSettings(), description="失压.")
    undervoltage: UndervoltageSettings = Field(UndervoltageSettings(), description="欠压.")
    overvoltage: OvervoltageSettings = Field(OvervoltageSettings(), description="过压.")
    phase_loss: PhaseLossSettings = Field(PhaseLossSettings(), description="断相.")
    voltage_imbalance: VoltageImbalanceSettings = Field(VoltageImbalanceSettings(), description="电压不平衡.")
    outage: OutageSettings = Field(OutageSettings(), description="停电.")
    current_loss: CurrentLossSettings = Field(CurrentLossSettings(), description="失流, 断流.")
    current_shunt: CurrentShuntSettings = Field(CurrentShuntSettings(), description="Partial shunt.")
    current_imbalance: CurrentImbalanceSettings = Field(CurrentImbalanceSettings(), description="电流不平衡.")
    severe_current_imbalance: SevereCurrentImbalanceSettings = Field(
        SevereCurrentImbalanceSettings(), description="电流严重不平衡."
    )
    over_current: OverCurrentSettings = Field(OverCurrentSettings(), description="过流.")
    neutral_mismatch: NeutralMismatchSettings = Field(NeutralMismatchSettings(), description="Neutral against phase.")
    reverse_flow: ReverseFlowSettings = Field(ReverseFlowSettings(), description="潮流反向.")
    overload: OverloadSettings = Field(OverloadSettings(), description="过载.")
    low_power_factor: LowPowerFactorSettings = Field(LowPowerFactorSettings(), description="功率因数.")
    demand_limit: DemandLimitSettings = Field(DemandLimitSettings(), description="需量超限.")
    register_fell: RegisterFellSettings = Field(RegisterFellSettings(), description="倒走.")
    register_stopped: RegisterStoppedSettings = Field(RegisterStoppedSettings(), description="停走.")
    register_sum: RegisterSumSettings = Field(RegisterSumSettings(), description="示值不平.")
    clock_offset: ClockOffsetSettings = Field(ClockOffsetSettings(), description="时钟超差.")
    read_failure: ReadFailureSettings = Field(ReadFailureSettings(), description="抄表失败.")


class ClassSettings(Settings):
    """Other limits for the meters that fit; what is not given stays as it is for all."""

    phases: int | None = Field(None, ge=1, le=3, description="Meters with so many phases.")
    nominal_voltage_v: float | None = Field(None, gt=0, description="Meters with this nominal voltage, V.")
    trade: Trade | None = Field(None, description="Meters of accounts of this trade.")
    voltage_loss: VoltageLossSettings | None = Field(None, description="失压.")
    undervoltage: UndervoltageSettings | None = Field(None, description="欠压.")
    overvoltage: OvervoltageSettings | None = Field(None, description="过压.")
    phase_loss: PhaseLossSettings | None = Field(None, description="断相.")
    voltage_imbalance: VoltageImbalanceSettings | None = Field(None, description="电压不平衡.")
    outage: OutageSettings | None = Field(None, description="停电.")
    current_loss: CurrentLossSettings | None = Field(None, description="失流, 断流.")
    current_shunt: CurrentShuntSettings | None = Field(None, description="Partial shunt.")
    current_imbalance: CurrentImbalanceSettings | None = Field(None, description="电流不平衡.")
    severe_current_imbalance: SevereCurrentImbalanceSettings | None = Field(None, description="电流严重不平衡.")
    over_current: OverCurrentSettings | None = Field(None, description="过流.")
    neutral_mismatch: NeutralMismatchSettings | None = Field(None, description="Neutral against phase.")
    reverse_flow: ReverseFlowSettings | None = Field(None, description="潮流反向.")
    overload: OverloadSettings | None = Field(None, description="过载.")
    low_power_factor: LowPowerFactorSettings | None = Field(None, description="功率因数.")
    demand_limit: DemandLimitSettings | None = Field(None, description="需量超限.")
    register_fell: RegisterFellSettings | None = Field(None, description="倒走.")
    register_stopped: RegisterStoppedSettings | None = Field(None, description="停走.")
    register_sum: RegisterSumSettings | None = Field(None, description="示值不平.")
    clock_offset: ClockOffsetSettings | None = Field(None, description="时钟超差.")
    read_failure: ReadFailureSettings | None = Field(None, description="抄表失败.")

    @model_validator(mode="after")
    def _is_about_some_meters(self) -> Self:
        if all(getattr(self, name) is None for name in _CONDITIONS):
            raise PydanticCustomError(
                "class_of_all", "fits every meter → say phases, nominal_voltage_v or trade, or move the limits up"
            )
        return self

    def fits(self, meter: Meter) -> bool:
        """Whether the class is about this meter."""
        wanted = {name: getattr(self, name) for name in _CONDITIONS}
        return all(value is None or value == getattr(meter, name) for name, value in wanted.items())

    def over(self, general: IntegritySettings) -> IntegritySettings:
        """These limits laid over others, setting by setting."""
        changed = {}
        for name in IntegritySettings.model_fields:
            own = getattr(self, name)
            if own is not None:
                given = {field: getattr(own, field) for field in own.model_fields_set}
                changed[name] = getattr(general, name).model_copy(update=given)
        return general.model_copy(update=changed)


_FAMILIES: Final[tuple[Callable[[IntegritySettings], SparseCheck], ...]] = (
    lambda limits: Voltage(
        limits.voltage_loss,
        limits.undervoltage,
        limits.overvoltage,
        limits.phase_loss,
        limits.voltage_imbalance,
        limits.outage,
    ),
    lambda limits: Current(
        limits.current_loss,
        limits.current_shunt,
        limits.current_imbalance,
        limits.severe_current_imbalance,
        limits.over_current,
        limits.neutral_mismatch,
    ),
    lambda limits: Power(limits.reverse_flow, limits.overload, limits.low_power_factor, limits.demand_limit),
    lambda limits: Registers(limits.register_fell, limits.register_stopped, limits.register_sum),
    lambda limits: ClockOffset(limits.clock_offset),
    lambda limits: ReadFailure(limits.read_failure),
)


def integrity_checks(limits: IntegritySettings, classes: Sequence[ClassSettings] = ()) -> tuple[SparseCheck, ...]:
    """All families of rules; they need what ``register_difference`` and ``reading_order`` derive."""
    if not classes:
        return (*(family(limits) for family in _FAMILIES), MeterLog())
    membership = MeterClasses(classes)

    def limits_of(fits: Fits) -> IntegritySettings:
        laid = limits
        for one, fit in zip(classes, fits, strict=True):
            laid = one.over(laid) if fit else laid
        return laid

    return (
        *(ByClass(membership, lambda fits, family=family: family(limits_of(fits))) for family in _FAMILIES),  # type: ignore[misc]
        MeterLog(),
    )
