"""Reads every object of a configured DLMS meter, in an association with the keys that gateway.yaml names.

A few objects are asked at a time. Where that comes to nothing each of them is asked alone, so that one which the meter
or we cannot encode costs only itself; the last reason is shown in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from edge_agent.commissioning.object_list import Entry, Listed, object_list, read_objects
from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsBusSettings
from edge_agent.drivers.dlms.client import DlmsClient
from edge_agent.drivers.dlms.errors import DlmsError
from edge_agent.drivers.dlms.lines import make_dlms_client
from edge_agent.drivers.dlms.link import DlmsLink
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.driver import ReadFailure, Reason
from metering.errors import StopAndFix

_AT_A_TIME: Final = 8
_MOST_FAILURES: Final = 5  # objects asked alone in a row: then it is the meter


async def meter_objects(
    bus: DlmsBusSettings, name: str, settings: DlmsAccessSettings, profile: DlmsProfile
) -> list[Listed] | ReadFailure:
    """All objects of one meter with their values, in the meter's order."""
    link, client = make_dlms_client(bus, name, settings, profile)
    zone = ZoneInfo(settings.timezone)
    try:
        if (failure := await link.connect()) is not None:
            return failure
        entries = await client.converse(object_list)
        found: list[Listed] = []
        for first in range(0, len(entries), _AT_A_TIME):
            found += await _read(link, client, entries[first : first + _AT_A_TIME], zone)
    except DlmsError as error:
        return ReadFailure(Reason.DECLINED, str(error))
    except StopAndFix as error:
        return ReadFailure(Reason.NO_KEYS, str(error))
    finally:
        client.part()
        link.close()
    return found


async def _read(link: DlmsLink, client: DlmsClient, entries: Sequence[Entry], zone: ZoneInfo) -> list[Listed]:
    try:
        return await client.converse(partial(read_objects, entries=entries, zone=zone))
    except DlmsError:
        found: list[Listed] = []
    failures = 0
    for entry in entries:
        try:
            await link.connect()  # what was under way may still come: on a new connection it cannot
            found += await client.converse(partial(read_objects, entries=[entry], zone=zone))
            failures = 0
        except DlmsError as error:
            failures += 1
            if failures >= _MOST_FAILURES:
                raise
            found.append(Listed(entry, denied=str(error)))
    return found
