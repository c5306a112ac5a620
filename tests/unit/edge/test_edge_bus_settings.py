"""What a bus costs and how long it is waited for, by the way it is connected."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.pace import Pace
from edge_agent.drivers.registry import BusSettings

ADAPTER = TypeAdapter[ModbusBusSettings](BusSettings)


def bus(kind: str, **more: object) -> ModbusBusSettings:
    place = {"device": "/dev/serial/by-id/usb-1"} if kind == "modbus_rtu" else {"host": "h"}
    papers = {"ca_file": "ca.crt"} if kind == "modbus_tls" else {}
    return ADAPTER.validate_python({"id": "b", "type": kind} | place | papers | more)


def test_the_longest_read_at_2400_baud_is_waited_for_whatever_the_time_out_says():
    slow = bus("modbus_rtu", baudrate=2400, timeout="200ms")

    assert slow.timeout_s(125) > 1.12
    assert slow.timeout_s(2) == 0.2


@pytest.mark.parametrize("kind", ["modbus_rtu", "modbus_rtu_tcp"])
@pytest.mark.parametrize(
    ("parity", "stop_bits", "bits"), [("none", 1, 10), ("even", 1, 11), ("odd", 1, 11), ("none", 2, 11)]
)
def test_a_line_is_priced_by_its_characters(kind: str, parity: str, stop_bits: int, bits: int):
    settings = bus(kind, baudrate=4800, parity=parity, stop_bits=stop_bits, turnaround="30ms")

    assert settings.pace == Pace.serial(4800, bits, 0.03)
    assert settings.on_a_line


def test_a_line_without_a_word_has_9600_baud_and_no_parity():
    assert bus("modbus_rtu").pace == Pace.serial(9600, 10, 0.02)


def test_a_serial_server_that_translates_is_priced_as_its_line():
    assert bus("modbus_tcp", baudrate=9600).pace == Pace.serial(9600, 11, 0.02)
    assert bus("modbus_tcp").pace == bus("modbus_tls").pace == Pace.network(0.02)
    assert [bus("modbus_tcp", baudrate=9600).on_a_line, bus("modbus_tcp").on_a_line] == [True, False]


def test_a_wished_silence_counts_in_the_price():
    assert bus("modbus_rtu", quiet="50ms").pace.silence_s == 0.05


def test_ports_are_those_of_the_standards():
    assert [getattr(bus(kind), "port", None) for kind in ("modbus_tcp", "modbus_tls", "modbus_rtu_tcp")] == [
        502,
        802,
        502,
    ]
