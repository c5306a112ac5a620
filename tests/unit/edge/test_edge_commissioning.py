"""Lines and units as a technician names them, the first file, and the verdict about a gateway."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.commissioning.draft import Draft, DraftMeter, gateway_yaml
from edge_agent.commissioning.line_address import address_of, line_of, units_of
from edge_agent.commissioning.meter_success import group_ticks, meter_success
from edge_agent.commissioning.ports import serial_ports
from edge_agent.commissioning.verdict import Health, concerns
from edge_agent.commissioning.words import tool_words
from edge_agent.config import GatewaySettings
from edge_agent.spool.state import SpoolState
from metering.config_file import load_text
from metering.round import Column, Origin, Quality, Round, pack

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SAY = tool_words("en")


@pytest.mark.parametrize(
    "text",
    [
        "/dev/ttyUSB0",
        "10.0.0.5:502",
        "meter.local:1502",
        "rtu://10.0.0.5:8899",
        "[::1]:502",
        "dlt645:///dev/ttyUSB0",
        "dlt645://10.0.0.5:8899",
        "dlms://10.0.0.5:4059",
        "hdlc:///dev/ttyUSB0",
        "hdlc://meter.local:4001",
    ],
)
def test_a_line_has_one_name(text: str):
    assert address_of(line_of(text)) == text


@pytest.mark.parametrize(
    "text", ["", "10.0.0.5:http", "10.0.0.5:99999", "two words", "http://10.0.0.5", "dlms:///dev/ttyUSB0", "hdlc://m"]
)
def test_what_is_no_line_is_refused(text: str):
    with pytest.raises(ValueError, match=r".*"):
        line_of(text)


def test_units_are_asked_once_and_in_order():
    assert units_of("7,1-3,2") == [1, 2, 3, 7]


@pytest.mark.parametrize("text", ["", "0", "256", "3-1", "1-", "one", "1;2"])
def test_what_are_no_units_is_refused(text: str):
    with pytest.raises(ValueError, match=r".*"):
        units_of(text)


@given(
    NAMES,
    st.sampled_from(["/dev/ttyUSB0", "10.0.0.5", "rtu://10.0.0.5:8899", "[fd00::2]:502"]),
    st.lists(
        st.tuples(st.integers(1, 247).map(str), NAMES, st.sampled_from(["", "40", "200/5"])), min_size=1, max_size=5
    ),
    st.sampled_from(["127.0.0.1:1883", "broker.example.com", "broker.example.com:8883"]),
    st.sampled_from(["", "/etc/wattline/ca.crt"]),
    st.sampled_from(["en", "zh"]),
)
def test_a_first_file_says_what_was_answered(gateway, line, meters, broker, ca_file, lang):
    named = tuple(DraftMeter(unit, "eastron_sdm630", name, ratio) for unit, name, ratio in meters)
    text = gateway_yaml(Draft(gateway, line_of(line, "b1", 19200, "even"), named, broker, ca_file), lang)

    settings = load_text(text, "gateway.yaml", GatewaySettings)

    assert (settings.gateway, settings.buses[0]) == (gateway, line_of(line, "b1", 19200, "even"))
    assert [(str(one.unit), one.id) for one in settings.meters] == [(one.address, one.name) for one in named]
    assert {one.ct_ratio for one in settings.meters} <= {1.0, 40.0}
    assert settings.mqtt.host == broker.split(":")[0]
    assert not settings.mqtt.unprotected


@pytest.mark.parametrize(
    ("broker", "host", "port", "plaintext"),
    [
        ("127.0.0.1", "127.0.0.1", 1883, False),
        ("[::1]:2883", "::1", 2883, False),
        ("::1", "::1", 1883, False),
        ("[fd00::2]", "fd00::2", 1883, True),
        ("localhost.lan:2883", "localhost.lan", 2883, True),
    ],
)
def test_a_broker_may_be_any_address(broker: str, host: str, port: int, plaintext: bool):
    meters = (DraftMeter("1", "eastron_sdm630", "m1"),)
    text = gateway_yaml(Draft("park-01", line_of("10.0.0.5"), meters, broker), "en")

    mqtt = load_text(text, "gateway.yaml", GatewaySettings).mqtt

    assert (mqtt.host, mqtt.port, mqtt.allow_plaintext, mqtt.unprotected) == (host, port, plaintext, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1=eastron_sdm630", DraftMeter("1", "eastron_sdm630", "meter-1")),
        ("000012345678=dlt645_three_phase", DraftMeter("000012345678", "dlt645_three_phase", "meter-000012345678")),
        ("1/17=iec_generic", DraftMeter("1/17", "iec_generic", "meter-1-17")),
        ("2=chint_dtsu666:shop-102:200/5", DraftMeter("2", "chint_dtsu666", "shop-102", "200/5")),
    ],
)
def test_a_meter_is_named_in_a_word(text: str, expected: DraftMeter):
    assert DraftMeter.parse(text) == expected


def test_a_meter_without_a_map_is_no_meter():
    with pytest.raises(ValueError, match="1"):
        DraftMeter.parse("1")


def a_round(scheduled_at: int, bits: dict[str, Quality]) -> Round:
    count = len(bits)
    return Round(
        "park-01",
        "main",
        Origin.LIVE,
        60_000,
        scheduled_at,
        tuple(bits),
        pack([scheduled_at + 50] * count, "q"),
        pack(map(int, bits.values()), "I"),
        (Column.of("active_power", [None if bit else 1.0 for bit in bits.values()]),),
    )


GOOD = Quality(0)
HOUR = [
    a_round(0, {"m1": GOOD, "m2": Quality.NO_ANSWER}),
    a_round(60_000, {"m1": Quality.REGISTER_FELL, "m2": GOOD}),
    a_round(240_000, {"m1": GOOD, "m2": Quality.NO_ANSWER}),
]


def test_success_is_counted_by_meter_and_holes_by_group():
    first, second, third = meter_success(HOUR, ["m1", "m2", "m3"])
    (group,) = group_ticks(HOUR)

    assert (first.share, first.failing, first.doubts) == (1.0, False, Quality.REGISTER_FELL)
    assert (second.good, second.bad, second.failing, second.reason) == (1, 2, True, Quality.NO_ANSWER)
    assert second.last_good_at == 60_050
    assert third.share is None
    assert (group.ticks, group.missed) == (3, 2)


def health(rounds: list[Round], now_ms: int, **state: float | None) -> Health:
    spool = {"epoch": 1, "oldest": 1, "next_seq": 4, "acknowledged": 3, "unacknowledged": 0}
    spool |= {"oldest_unacknowledged_at": None, "share": 0.01, "evicted_rows": 0} | state
    return Health(now_ms, SpoolState(**spool), meter_success(rounds, ["m1", "m2"]), group_ticks(rounds), 60_000)  # type: ignore[arg-type]


def test_a_gateway_that_works_has_no_concerns():
    rounds = [a_round(at, {"m1": GOOD, "m2": GOOD}) for at in (0, 60_000, 120_000)]

    assert concerns(health(rounds, 130_000), SAY) == []


def test_every_concern_is_told():
    full = {"oldest_unacknowledged_at": 0, "unacknowledged": 3, "share": 0.6, "evicted_rows": 7}

    assert concerns(health(HOUR, 3_600_000, **full), SAY) == [
        "the last round is 56 min old → is the agent running? systemctl status wattline-edge",
        "1 of 2 meters give nothing (m2) → wattline-edge probe m2",
        "energy registers doubted: m1",
        "group main missed 2 of 5 ticks → wattline-edge check shows how busy the line is",
        "nothing acknowledged for 60 min, 3 waiting → are broker and collector there?",
        "the spool is 60% full → are broker and collector there?",
        "7 rows were given up",
    ]


def test_a_clock_that_is_off_is_told_until_it_is_right():
    off, right = ({"m1": quality, "m2": GOOD} for quality in (Quality.METER_CLOCK_OFF, GOOD))

    assert concerns(health([a_round(0, right), a_round(60_000, off)], 61_000), SAY) == [
        "clocks off: m1 → wattline-edge clock m1"
    ]
    assert concerns(health([a_round(0, off), a_round(60_000, right)], 61_000), SAY) == []


def test_a_gateway_without_a_round_does_not_run():
    assert concerns(health([], 0), SAY) == [SAY["no round"]]


def test_both_languages_say_the_same_with_the_same_blanks():
    chinese = tool_words("zh")

    assert SAY.keys() == chinese.keys()
    for key, text in SAY.items():
        assert text.count("{") == chinese[key].count("{"), key


def test_ports_without_a_chip_behind_them_are_left_out(tmp_path: Path):
    (tmp_path / "ttyS0").write_text("")
    (tmp_path / "ttyUSB0").write_text("")

    assert [(port.name, port.state) for port in serial_ports(tmp_path)] == [("ttyUSB0", "gone")]
