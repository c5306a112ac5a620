"""A meter behind an optical head is signed on to at 300 Bd and read at 9600 Bd; what does not sign on is told apart."""

from __future__ import annotations

import termios
from pathlib import Path

import pytest
from test_edge_dlms_driver import ENERGY, PROFILE, READER

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsHdlcSettings
from edge_agent.drivers.dlms.dlms_driver import DlmsDriver
from edge_agent.drivers.dlms.lines import make_dlms_driver
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from tests.support.dlms_park import NOON_MS, StandingClock, device, import_wh, serving
from tests.support.optical_head import optical_head


def driver_at(device_path: Path, fastest_baud: int = 9600) -> DlmsDriver:
    bus = DlmsHdlcSettings(
        id="b1", type="dlms_hdlc", device=device_path, opening="mode_e", baudrate=fastest_baud, timeout="1s"
    )
    access = DlmsAccessSettings(security="none", client=READER)
    return make_dlms_driver(bus, {"m1": (access, PROFILE, (1.0, 1.0))}, StandingClock())


@pytest.mark.parametrize(
    ("fastest_baud", "agreed", "digit"), [(9600, termios.B9600, b"5"), (2400, termios.B2400, b"3")]
)
async def test_the_meter_is_read_at_the_speed_both_have_agreed_on(
    tmp_path: Path, fastest_baud: int, agreed: int, digit: bytes
) -> None:
    async with (
        serving({1: device()}, "hdlc") as server,
        optical_head(tmp_path / "head", server.port, speed=agreed) as head,
    ):
        driver = driver_at(tmp_path / "head", fastest_baud)
        assert await driver.connect() is None
        found = await driver.read("m1", ENERGY)
        driver.close()

    assert isinstance(found, Reading)
    assert found.values == {"active_energy_import": import_wh(NOON_MS) / 1000}
    assert head.requests == [b"/?!\r\n", b"\x062" + digit + b"2\r\n"]
    assert head.wrong_speed == 0


async def test_a_meter_that_waits_for_a_sign_on_again_is_signed_on_to_again(tmp_path: Path) -> None:
    async with serving({1: device()}, "hdlc") as server, optical_head(tmp_path / "head", server.port) as head:
        driver = driver_at(tmp_path / "head")
        assert await driver.connect() is None
        first = await driver.read("m1", ENERGY)
        await head.begin_anew()
        silent = await driver.read("m1", ENERGY)
        line_was_left = not driver.connected
        again = await driver.connect() or await driver.read("m1", ENERGY)
        driver.close()

    assert isinstance(first, Reading)
    assert isinstance(silent, ReadFailure)
    assert silent.reason is Reason.SILENT
    assert line_was_left
    assert isinstance(again, Reading)


async def test_a_head_with_no_meter_under_it_is_silent(tmp_path: Path) -> None:
    async with optical_head(tmp_path / "head", 1, b""):
        failure = await driver_at(tmp_path / "head").connect()

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.SILENT
    assert "300 Bd" in failure.detail


async def test_a_meter_without_mode_e_is_refused_with_its_own_words(tmp_path: Path) -> None:
    async with optical_head(tmp_path / "head", 1, rb"/ISk5ME172"):
        failure = await driver_at(tmp_path / "head").connect()

    assert isinstance(failure, ReadFailure)
    assert "does not offer mode E" in failure.detail


async def test_a_port_that_is_not_there_is_said_as_everywhere(tmp_path: Path) -> None:
    failure = await driver_at(tmp_path / "nothing").connect()

    assert isinstance(failure, ReadFailure)
    assert failure.reason is Reason.NO_PORT
