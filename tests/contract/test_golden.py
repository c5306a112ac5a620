"""Bytes that have left a gateway once must decode for ever, to the same readings.

Each ``golden/<name>.bin`` is a message as an earlier program wrote it, ``<name>.json`` what it says. A file here is
never changed and never removed; a new form of message adds a file (``python -m tests.contract.golden_files``).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metering.codec import decode, encode_packed
from metering.control import Ack, CollectorStatus, EdgeStatus, decode_control, encode_control
from metering.meter_event import MeterEvent, MeterEvents
from metering.packed_body import encode_body
from metering.plain_message import encode_plain
from metering.quantity import QUANTITIES
from metering.round import Gap, Quality
from metering.topics import Topics, UpTopic

GOLDEN = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def test_there_are_golden_files() -> None:
    assert {"packed_live", "packed_wide", "packed_backfill", "packed_gap", "plain_live", "plain_gap"} <= set(NAMES)
    assert {"packed_meter_events", "packed_missed_events", "plain_meter_events"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes_still_say_what_they_said(name: str) -> None:
    message = decode((GOLDEN / f"{name}.bin").read_bytes())

    assert json.loads(encode_plain(message)) == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_golden_messages_survive_being_encoded_today(name: str) -> None:
    message = decode((GOLDEN / f"{name}.bin").read_bytes())

    assert decode(encode_packed(message.envelope, encode_body(message.content))) == message


def test_a_gap_of_a_golden_file_is_a_gap() -> None:
    content = decode((GOLDEN / "packed_gap.bin").read_bytes()).content

    assert content == Gap("park-01", 40, 57, 1800, "evicted")


def test_entries_of_a_golden_file_are_those_of_the_meters_logs() -> None:
    content = decode((GOLDEN / "packed_meter_events.bin").read_bytes()).content

    assert isinstance(content, MeterEvents)
    assert content.events[2:] == (MeterEvent.COVER_OPENED, MeterEvent.MAGNETIC_FIELD)
    assert content.missed == {"depot-401": 12}


def test_events_keep_their_names() -> None:
    known = json.loads((GOLDEN / "meter_events.json").read_text())

    assert set(known) <= {event.value for event in MeterEvent}


def test_quantities_keep_their_names_units_codes_and_resolution() -> None:
    """A stored name or a resolution that changes is a wrong bill: quantities are only ever added."""
    known = json.loads((GOLDEN / "quantities.json").read_text())
    today = {q.name: [str(q.obis), q.unit, q.kind.value, q.decimals] for q in QUANTITIES.values()}

    assert {name: today.get(name) for name in known} == known


def test_quality_bits_keep_their_numbers() -> None:
    known = json.loads((GOLDEN / "quality.json").read_text())
    today = {bit.name: bit.value for bit in Quality}

    assert {name: today.get(name) for name in known} == known


def test_control_messages_on_the_wire() -> None:
    assert encode_control(Ack("00000000deadbeef", 41, 32)) == (
        b'{"epoch":"00000000deadbeef","seq":41,"window":32,"resend":false}'
    )
    assert encode_control(EdgeStatus("offline")) == b'{"state":"offline"}'
    assert encode_control(CollectorStatus("online", "0.1.0", 5)) == b'{"state":"online","version":"0.1.0","at":5}'
    assert decode_control(b'{"epoch":"00000000deadbeef","seq":1,"window":2,"later":[]}', Ack) == Ack(
        "00000000deadbeef", 1, 2
    )


def test_topics_on_the_wire() -> None:
    topics = Topics("city/park-3")

    assert topics.up("00", "gw-1", "data") == "city/park-3/v1/up/00/gw-1/data"
    assert topics.ack("gw-1") == "city/park-3/v1/down/gw-1/ack"
    assert topics.collector_status("00") == "city/park-3/v1/collector/00/status"
    assert topics.event("current_loss", "m-1") == "city/park-3/v1/events/current_loss/m-1"
    assert topics.parse_up("city/park-3/v1/up/00/gw-1/data") == UpTopic("00", "gw-1", "data")
    for foreign in ("city/park-3/v1/up/00/gw-1", "x/v1/up/00/gw-1/data", "city/park-3/v1/up/0#/gw-1/data"):
        assert topics.parse_up(foreign) is None
