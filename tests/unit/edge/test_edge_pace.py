"""The arithmetic of the line, against the table that was reckoned by hand from the Modbus standard."""

from __future__ import annotations

import pytest

from edge_agent.drivers.modbus.pace import Pace

READS_A_SECOND = {
    2400: {2: 10.00, 10: 6.00, 40: 2.40, 80: 1.33, 125: 0.89},
    9600: {2: 40.00, 10: 24.00, 40: 9.60, 80: 5.33, 125: 3.56},
    19200: {2: 80.00, 10: 48.00, 40: 19.20, 80: 10.67, 125: 7.11},
    38400: {2: 126.15, 10: 82.69, 40: 36.08, 80: 20.60, 125: 13.89},
    115200: {2: 200.98, 10: 157.12, 40: 86.41, 80: 54.00, 125: 37.98},
}


@pytest.mark.parametrize("baudrate", READS_A_SECOND)
def test_reads_a_second_are_what_the_standard_gives(baudrate: int):
    pace = Pace.serial(baudrate, 10, turnaround_s=0.0)

    assert {n: round(1 / pace.read_s(n), 2) for n in (2, 10, 40, 80, 125)} == READS_A_SECOND[baudrate]


def test_a_request_costs_as_many_registers_as_would_go_over_the_line_in_its_time():
    pace = Pace.serial(9600, 10, turnaround_s=0.02)

    assert pace.request_cost == 20
    assert pace.read_s(20) - pace.read_s(0) == pytest.approx(pace.read_s(0), rel=0.03)


def test_where_characters_cost_nothing_every_hole_is_worth_bridging():
    assert Pace.network(0.02).request_cost == 125


def test_a_wished_silence_counts_only_if_it_is_longer_than_the_standard():
    assert Pace.serial(9600, 10, 0.0, silence_s=0.001) == Pace.serial(9600, 10, 0.0)
    assert Pace.serial(9600, 10, 0.0, silence_s=0.05).silence_s == 0.05
