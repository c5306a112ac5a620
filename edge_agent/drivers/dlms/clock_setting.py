"""Sets a meter's clock: the one attribute that this program ever sets, and only when a person asks for it.

    ask the time ──► set it: ours and half of what the question took ──► ask again: it must show what it was told

The first question tells three things: that the meter has a clock, how it writes its time, and how long the line takes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from edge_agent.drivers.dlms import clock
from edge_agent.drivers.dlms.allow_list import AllowList
from edge_agent.drivers.dlms.axdr import Data, Tag
from edge_agent.drivers.dlms.clock import DeviationSign
from edge_agent.drivers.dlms.errors import Declined, Malformed
from edge_agent.drivers.dlms.reader import Conversation, Reader, Result
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item

_NEAR: Final = timedelta(seconds=3)  # a meter may take a second to set it and show whole seconds


def set_time(
    reader: Reader, time: Attribute, now: Callable[[], datetime], zone: tzinfo, sign: DeviationSign
) -> Conversation[None]:
    """Set the ``time`` attribute of a clock object to ``now()``.

    Raises:
        DlmsError: the meter did not take it, or shows another time afterwards.
    """
    asked = now()
    shown = _octets((yield from reader.get(Item(time))))
    half = (now() - asked) / 2
    allowed = AllowList(attributes=(time,), methods=())
    said = clock.encode_like(shown, now() + half, zone, sign)
    yield from reader.change(lambda invoke_id: allowed.set_request(invoke_id, time, Data(Tag.OCTET_STRING, said)))
    asked = now()
    told = clock.decode(_octets((yield from reader.get(Item(time)))), zone, sign)
    arrived = now()
    if told.at is None or not asked - _NEAR <= told.at <= arrived + _NEAR:
        shows = "no time" if told.at is None else told.at.astimezone(UTC).isoformat(timespec="seconds")
        raise Declined(f"the meter took the time and shows {shows}")


def _octets(result: Result) -> bytes:
    if isinstance(result, Denied):
        raise Declined(f"the meter does not show its clock: {result}", result.code)
    if not isinstance(result, bytes) or len(result) != clock.LENGTH:
        raise Malformed("no time in the clock object")
    return result
