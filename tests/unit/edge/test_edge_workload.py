"""Before the start it is known how busy every line will be, and a line without enough time is a mistake of the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import config
from edge_agent.drivers.driver import Cost
from edge_agent.polling.rate_group import GroupSettings
from edge_agent.polling.workload import Load
from edge_agent.survey import bus_budgets
from metering.clock import SystemClock
from metering.config_file import ConfigError

GATEWAY = """
gateway: g
buses: [{{id: b1, type: modbus_tcp, host: 127.0.0.1, turnaround: {turnaround}}}]
meters:
  - {{id: m1, bus: b1, unit: 1, profile: eastron_sdm630}}
  - {{id: m2, bus: b1, unit: 2, profile: eastron_sdm630}}
groups:
  - {{id: power, every: 1s, quantities: [active_power]}}
  - {{id: rest, every: 10s, quantities: [active_energy_import]}}
"""


def written(folder: Path, turnaround: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(GATEWAY.format(turnaround=turnaround))
    return path


def test_a_bus_is_as_busy_as_its_groups_together(tmp_path: Path):
    settings = config.load(written(tmp_path, "100ms"))

    assert bus_budgets(settings, SystemClock()) == [("b1", pytest.approx(2 * 0.1 + 2 * 0.1 / 10), "10 requests/s")]


@pytest.mark.parametrize(("lang", "words"), [("en", "would need 110% of 2 requests/s"), ("zh", "需要 110%")])
def test_a_line_without_enough_time_is_a_mistake(tmp_path: Path, lang, words: str):
    with pytest.raises(ConfigError) as caught:
        config.load(written(tmp_path, "500ms"), lang)

    (problem,) = caught.value.problems
    assert (problem.line, problem.path) == (3, "buses[0]")
    assert words in problem.text


def test_a_share_is_the_time_of_the_line_over_the_period():
    assert Load("power", 5.0, 3, Cost(3, 120, 1.25)).share == 0.25
    assert GroupSettings(id="power", every="5s").priority == "normal"
