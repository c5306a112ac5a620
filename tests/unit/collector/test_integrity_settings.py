"""Limits of the integrity checks: for all meters, and laid over them for classes of meters."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.checks.integrity import ClassSettings, integrity_checks
from collector.config import ChecksSettings
from collector.registry.records import Meter
from metering.config_file import ConfigError, load_file


def checks_of(tmp_path: Path, text: str) -> ChecksSettings:
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    return load_file(path, ChecksSettings)


def test_a_class_changes_what_it_gives_and_leaves_the_rest(tmp_path: Path) -> None:
    limits = checks_of(
        tmp_path, "undervoltage: {delay: 5min}\nclasses:\n  - {phases: 1, undervoltage: {voltage: 0.9}}\n"
    )

    laid = limits.classes[0].over(limits)

    assert (laid.undervoltage.voltage, laid.undervoltage.delay) == (0.9, 300.0)
    assert laid.voltage_loss == limits.voltage_loss


def test_a_class_fits_meters_by_all_it_says_of_them() -> None:
    one = ClassSettings(phases=3, trade="catering")
    kitchen = Meter(id="m-1", site="park", phases=3, trade="catering")

    assert one.fits(kitchen)
    assert not one.fits(kitchen.model_copy(update={"phases": 1}))
    assert not one.fits(kitchen.model_copy(update={"trade": "retail"}))


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("classes:\n  - {undervoltage: {voltage: 0.9}}\n", "2:5", "say phases, nominal_voltage_v or trade"),
        ("classes:\n  - {phases: 1, undervoltage: {volts: 0.9}}\n", "2:32", "voltage"),
        ("classes:\n  - {trade: bakery}\n", "2:13", "catering"),
        ("voltage_loss:\n  voltage: 78\n", "2:12", "less than 1"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(tmp_path: Path, text: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checks_of(tmp_path, text)

    assert f"checks.yaml:{place}" in str(caught.value)
    assert words in str(caught.value)


def test_every_rule_has_a_setting_of_its_name_and_every_setting_a_rule() -> None:
    limits = ChecksSettings()
    kinds = {lane.split()[0] for check in integrity_checks(limits) if check.name != "meter_log" for lane in check.lanes}

    assert kinds == set(ClassSettings.model_fields) - {"phases", "nominal_voltage_v", "trade"}
    assert kinds == set(ChecksSettings.model_fields) - {"energy_mismatch", "capacity", "suspicion", "classes"}
