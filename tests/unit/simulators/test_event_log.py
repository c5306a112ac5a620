"""What is done to a meter stands in its own log, from when it happens on, in the words of its standard."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge_agent.drivers.dlt645.event_records import RECORD_LISTS, count_of
from metering.config_file import ConfigError, load_text
from metering.meter_event import MeterEvent
from simulators.dlt645_meter import Dlt645Endpoint
from simulators.event_log import dlms_entries, dlt645_records
from simulators.park import Park, expand
from simulators.park_settings import ParkSettings, check_park
from simulators.scenarios import Scenario

START_MS = 1_781_712_000_000  # 2026-06-18T00:00+08:00
HOUR_MS = 3_600_000
PARK = """
start: 2026-06-18T00:00:00+08:00
trades: {{retail: 1}}
lines: [{{line: {line}}}]
scenarios: [{{meter: shop-101, scenario: {scenario}, after: 2h, lasts: 1h}}]
"""


def park(line: str, scenario: str = "cover_opened") -> Park:
    text = PARK.format(line=line, scenario=scenario)
    return expand(load_text(text, "park.yaml", ParkSettings, check=check_park), datetime(2026, 6, 18, tzinfo=UTC))


def test_a_dlms_log_holds_codes_in_their_order() -> None:
    done = [
        Scenario("cover_opened", "m", START_MS + HOUR_MS, START_MS + 2 * HOUR_MS),
        Scenario("magnetic_field", "m", START_MS, START_MS + 3 * HOUR_MS),
        Scenario("bypass", "m", START_MS, START_MS + HOUR_MS),
    ]

    assert dlms_entries(done) == [
        (START_MS, 42),
        (START_MS + HOUR_MS, 44),
        (START_MS + 2 * HOUR_MS, 45),
        (START_MS + 3 * HOUR_MS, 43),
    ]


@pytest.mark.parametrize(
    ("scenario", "kind", "told"),
    [
        ("cover_opened", "cover_openings", [MeterEvent.COVER_OPENED, MeterEvent.COVER_CLOSED]),
        ("magnetic_field", "magnetic_fields", [MeterEvent.MAGNETIC_FIELD]),
    ],
)
def test_a_dlt645_record_is_there_at_once_and_ends_later(scenario: str, kind: str, told: list[MeterEvent]) -> None:
    (endpoint,) = park("dlt645_tcp", scenario).endpoints()
    assert isinstance(endpoint, Dlt645Endpoint)
    meter, of = endpoint.meters[1], RECORD_LISTS[kind]
    zone = park("dlt645_tcp").zone

    def heard(hours: float) -> list[tuple[int, MeterEvent]]:
        now_ms = START_MS + round(hours * HOUR_MS)
        count = meter.data(int(of.count_identifier, 16), now_ms)
        assert count is not None
        return [
            tuple(event)
            for back in range(count_of(count) or 0, 0, -1)
            for event in of.events(meter.data(int(of.identifier(back), 16), now_ms) or b"", zone)
        ]

    assert heard(1.9) == []
    assert heard(2.5) == [(START_MS + 2 * HOUR_MS, told[0])]
    assert heard(4) == [(START_MS + (2 + n) * HOUR_MS, event) for n, event in enumerate(told)]


def test_a_kind_that_nothing_here_writes_is_not_in_the_meter() -> None:
    assert dlt645_records([], park("dlt645_tcp").meters[0].meter, 0x033001, START_MS) is None


def test_a_log_is_not_asked_of_a_modbus_meter() -> None:
    with pytest.raises(ConfigError, match="speaks Modbus and keeps no log"):
        park("modbus_tcp")
