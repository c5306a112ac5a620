"""Somebody else's client reads the simulated meter: the simulator is a meter to others, too, and not only to us."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient, HLSError
from dlms_cosem.cosem.capture_object import CaptureObject
from dlms_cosem.cosem.selective_access import RangeDescriptor
from dlms_cosem.utils import parse_as_dlms_data

from tests.support.dlms_park import NOON_MS, SHANGHAI, device, import_wh, serving
from tests.support.library_client import IMPORT, OBJECTS, associated, client

CLOCK = cosem.CosemAttribute(enumerations.CosemInterface.CLOCK, cosem.Obis(0, 0, 1, 0, 0), 2)
PROFILE = cosem.CosemAttribute(enumerations.CosemInterface.PROFILE_GENERIC, cosem.Obis(1, 0, 99, 1, 0), 2)


def session(dlms: DlmsClient) -> dict[str, object]:
    noon = datetime.fromtimestamp(NOON_MS / 1000, UTC)
    day = RangeDescriptor(CaptureObject(CLOCK), noon - timedelta(days=1), noon)
    with associated(dlms) as open_session:
        return {
            "import": parse_as_dlms_data(open_session.get(IMPORT)),
            "clock": open_session.get(CLOCK).hex(),
            "objects": parse_as_dlms_data(open_session.get(OBJECTS)),
            "rows": parse_as_dlms_data(open_session.get(PROFILE, day)),
        }


@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", ["none", "low", "gmac"])
async def test_another_client_reads_registers_a_clock_a_list_of_objects_and_a_profile(way: str, framing) -> None:
    meter = device()
    async with serving({1: meter}, framing) as server:
        found = await asyncio.to_thread(session, client(server.port, way, framing))

    stamp = meter.objects[8, bytes((0, 0, 1, 0, 0, 255))].get(2, NOON_MS, None)[1]
    assert found["import"] == import_wh(NOON_MS)
    assert found["clock"] == "090c" + stamp.hex()
    assert isinstance(found["objects"], list)
    assert len(found["objects"]) == len(meter.objects)
    assert isinstance(found["rows"], list)
    assert len(found["rows"]) == 97
    assert found["rows"][0][1] == import_wh(NOON_MS - 86_400_000)


async def test_a_challenge_full_of_flag_octets_is_read_through_hdlc() -> None:
    async with serving({1: device(random_octets=lambda size: b"\x7e" * size)}, "hdlc") as server:
        found = await asyncio.to_thread(session, client(server.port, "gmac", "hdlc"))
    assert found["import"] == import_wh(NOON_MS)


async def test_a_client_that_uses_a_counter_twice_is_turned_away() -> None:
    async with serving({1: device()}) as server:
        with pytest.raises(HLSError):
            await asyncio.to_thread(session, client(server.port, "gmac_reusing"))


async def test_a_client_that_goes_back_is_turned_away() -> None:
    async with serving({1: device(heard=500)}) as server:
        with pytest.raises(Exception, match=r"(?i)associat|reject"):
            await asyncio.to_thread(session, client(server.port, "gmac", first_counter=10))
        assert (await asyncio.to_thread(session, client(server.port, "gmac", first_counter=600)))["import"]


def test_the_park_stands_at_noon_in_china() -> None:
    assert datetime.fromtimestamp(NOON_MS / 1000, SHANGHAI).isoformat() == "2026-03-02T12:00:00+08:00"
