"""The driver against simulated meters on real sockets: in the wrapper and in HDLC, with keys and without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsBusSettings
from edge_agent.drivers.dlms.counter_store import CounterFile
from edge_agent.drivers.dlms.dlms_driver import DlmsDriver
from edge_agent.drivers.dlms.errors import Breach
from edge_agent.drivers.dlms.lines import make_dlms_driver
from edge_agent.drivers.dlms.profile import load_dlms_profile
from edge_agent.drivers.driver import ReadFailure, Reading, Reason
from metering.round import Quality
from simulators.dlms.device import LogicalDevice
from simulators.dlms.faults import DlmsFault, FaultName
from simulators.dlms.objects import MeterClock
from simulators.dlms_meter import DlmsServer
from simulators.faults import Fault
from tests.support.dlms_park import (
    AK,
    EK,
    GMAC,
    LOW,
    NOON_MS,
    PASSWORD,
    READER,
    SHANGHAI,
    StandingClock,
    device,
    import_wh,
    serving,
)

ROOT = Path(__file__).resolve().parents[3]
PROFILE = load_dlms_profile(ROOT / "config" / "profiles" / "dlms" / "iec_generic.yaml")
ENERGY = frozenset({"active_energy_import"})
TEN = frozenset(
    {"active_power", "reactive_power", "power_factor", "frequency", "voltage_l1", "voltage_l2", "voltage_l3"}
    | {"current_l1", "current_l2", "current_l3"}
)
FRAMINGS: tuple[Literal["wrapper", "hdlc"], ...] = ("wrapper", "hdlc")
SECURED = {"client": GMAC, "encryption_key_file": "ek", "authentication_key_file": "ak"}
WAYS: dict[str, dict[str, Any]] = {
    "none": {"client": READER, "security": "none"},
    "low": {"client": LOW, "security": "low", "password_file": "password"},
    "gmac": SECURED,
    "dedicated": SECURED | {"dedicated_key": True, "system_title": b"SIM\0\0\0\0\x01".hex()},
}
BUS: TypeAdapter[Any] = TypeAdapter(DlmsBusSettings)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("ek", EK.hex()), ("ak", AK.hex()), ("password", PASSWORD.decode())):
        (tmp_path / name).write_text(text, encoding="ascii")
        (tmp_path / name).chmod(0o600)
    return tmp_path


def driver_for(
    server: DlmsServer, meters: Mapping[str, Mapping[str, Any]], folder: Path, ratios: tuple[float, float] = (1.0, 1.0)
) -> DlmsDriver:
    hdlc = server.endpoint.framing == "hdlc"
    bus = BUS.validate_python(
        {
            "id": "b1",
            "type": "dlms_hdlc_tcp" if hdlc else "dlms_tcp",
            "host": "127.0.0.1",
            "port": server.port,
            "timeout": "200ms",
            "system_title": b"WTL\0\0\0\0\x01".hex(),
            "counters": folder / "counters",
        }
    )
    found = {
        name: (DlmsAccessSettings.model_validate({"server": n, **_from(folder, settings)}), PROFILE, ratios)
        for n, (name, settings) in enumerate(meters.items(), 1)
    }
    return make_dlms_driver(bus, found, StandingClock())


def _from(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    secrets = ("encryption_key_file", "authentication_key_file", "password_file")
    return {key: str(folder / value) if key in secrets and value else value for key, value in settings.items()}


@asynccontextmanager
async def connected(
    folder: Path,
    way: Mapping[str, Any] = SECURED,
    framing: Literal["wrapper", "hdlc"] = "wrapper",
    meter: LogicalDevice | None = None,
) -> AsyncIterator[tuple[DlmsDriver, DlmsServer]]:
    async with serving({1: meter or device()}, framing) as server:
        driver = driver_for(server, {"m1": way}, folder)
        assert await driver.connect() is None
        try:
            yield driver, server
        finally:
            driver.close()


async def values(driver: DlmsDriver, quantities: frozenset[str] = ENERGY, meter: str = "m1") -> dict[str, float | None]:
    outcome = await driver.read(meter, quantities)
    assert isinstance(outcome, Reading), outcome
    return outcome.values


async def failure(driver: DlmsDriver, meter: str = "m1") -> ReadFailure:
    outcome = await driver.read(meter, ENERGY)
    assert isinstance(outcome, ReadFailure), outcome
    return outcome


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("way", WAYS)
async def test_a_meter_is_read_in_every_way_it_can_be_asked(folder: Path, way: str, framing) -> None:
    async with connected(folder, WAYS[way], framing) as (driver, server):
        assert await values(driver) == {"active_energy_import": import_wh(NOON_MS) / 1000}
        assert await values(driver, TEN) == {
            "active_power": 6.0,
            "reactive_power": 1.5,
            "power_factor": 0.97,
            "frequency": 50.01,
            "voltage_l1": 230.1,
            "voltage_l2": 231.2,
            "voltage_l3": 229.3,
            "current_l1": 8.7,
            "current_l2": 8.65,
            "current_l3": 8.722,
        }
        before = server.requests_total
        await values(driver, TEN)
        assert server.requests_total - before == 1, "scalers are known: one question"
        assert server.connections_total == 1


async def test_everything_the_profile_offers_comes_with_what_the_meter_lacks_marked(folder: Path) -> None:
    async with connected(folder) as (driver, _):
        outcome = await driver.read("m1", driver.offers("m1"))

        assert isinstance(outcome, Reading)
        assert outcome.quality == Quality.PARTIAL
        assert {name for name, value in outcome.values.items() if value is None} == {
            f"active_energy_import_t{tariff}" for tariff in (1, 2, 3, 4)
        }
        assert outcome.values["clock_offset"] == 0
        assert driver.cost("m1", driver.offers("m1")).requests == 2


async def test_floats_and_transformer_ratios(folder: Path) -> None:
    async with serving({1: device(meter={"floats": True})}) as server:
        driver = driver_for(server, {"m1": SECURED}, folder, ratios=(40.0, 10.0))
        await driver.connect()

        found = await values(driver, frozenset({"active_power", "voltage_l1", "current_l1", "frequency"}))
        driver.close()

    assert found["active_power"] == pytest.approx(6.0 * 400)
    assert found["voltage_l1"] == pytest.approx(2301, rel=1e-6)
    assert found["current_l1"] == pytest.approx(348, rel=1e-6)
    assert found["frequency"] == pytest.approx(50.01, rel=1e-6)


@pytest.mark.parametrize(
    ("clock", "sign", "offset"),
    [
        (MeterClock(SHANGHAI, offset_s=90), "utc_minus_local", 90.0),
        (MeterClock(SHANGHAI, "zero", offset_s=-30), "utc_minus_local", -30.0),
        (MeterClock(SHANGHAI, "unspecified"), "utc_minus_local", 0.0),
        (MeterClock(SHANGHAI, "inverted"), "local_minus_utc", 0.0),
        (MeterClock(SHANGHAI, "inverted"), "utc_minus_local", 16 * 3600.0),
        (MeterClock(SHANGHAI, unset=True), "utc_minus_local", None),
        (MeterClock(SHANGHAI, status=1), "utc_minus_local", None),
    ],
)
async def test_a_meter_clock_is_compared_whatever_it_says_of_its_zone(folder: Path, clock, sign, offset) -> None:
    async with connected(folder, SECURED | {"deviation": sign}, meter=device(clock)) as (driver, _):
        assert await values(driver, frozenset({"clock_offset"})) == {"clock_offset": offset}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_meters_on_one_line_have_associations_of_their_own(folder: Path, framing) -> None:
    async with serving({n: device() for n in (1, 2, 3)}, framing) as server:
        driver = driver_for(server, {f"m{n}": SECURED for n in (1, 2, 3)}, folder)
        await driver.connect()
        for _ in range(2):
            for n in (1, 2, 3):
                assert await values(driver, meter=f"m{n}")
        driver.close()

        assert server.connections_total == 1


@pytest.mark.parametrize(
    ("fault", "breach"),
    [
        ("plaintext", Breach.PLAINTEXT),
        ("downgrade", Breach.DOWNGRADE),
        ("forged_tag", Breach.FORGED),
        ("forged_counter", Breach.FORGED),
        ("replay", Breach.REPLAY),
        ("wrong_title", Breach.WRONG_TITLE),
        ("wrong_invoke_id", Breach.WRONG_INVOKE_ID),
    ],
)
async def test_an_attacker_is_counted_by_name_and_the_meter_is_read_again_afterwards(
    folder: Path, fault: FaultName, breach: Breach
) -> None:
    meter = device()
    async with connected(folder, meter=meter) as (driver, _):
        await values(driver)
        meter.faults.active = (DlmsFault(fault),)

        assert (await failure(driver)).reason is Reason.BREACH
        assert driver.breaches == {breach: 1}
        assert not driver.connected

        meter.faults.active = ()
        await driver.connect()
        assert await values(driver) == {"active_energy_import": import_wh(NOON_MS) / 1000}


async def test_a_noisy_line_costs_time_and_no_reading(folder: Path) -> None:
    async with connected(folder, WAYS["none"], "hdlc") as (driver, server):
        server.endpoint.wire.faults = (Fault("noise", share=0.08), Fault("drop", share=0.04))
        found = [await driver.read("m1", ENERGY) for _ in range(25)]

    good = [outcome for outcome in found if isinstance(outcome, Reading)]
    assert len(good) >= 22
    assert {outcome.values["active_energy_import"] for outcome in good} == {import_wh(NOON_MS) / 1000}


async def test_a_counter_behind_the_meter_s_catches_up_and_is_kept(folder: Path) -> None:
    meter = device(heard=123_456)
    async with connected(folder, meter=meter) as (driver, _):
        assert await values(driver)

    assert meter.heard > 123_456
    assert CounterFile(folder / "counters" / "m1.json").marks().reserved > meter.heard


async def test_a_forged_public_counter_does_not_use_up_our_numbers(folder: Path) -> None:
    file = CounterFile(folder / "counters" / "m1.json")
    file.reserve()
    async with connected(folder, meter=device(heard=0xFFFF_FFF0)) as (driver, _):
        refused = await failure(driver)

    assert "too far" in str(refused)
    assert file.marks().reserved < 10_000


async def test_no_number_is_used_twice_over_restarts(folder: Path) -> None:
    meter = device()
    for _ in range(4):
        before = meter.heard
        async with connected(folder, meter=meter) as (driver, _):
            await values(driver)
        assert meter.heard > before


async def test_an_old_meter_is_refused_after_a_restart(folder: Path) -> None:
    async with connected(folder, meter=device(sent=50_000)) as (driver, _):
        await values(driver)
    async with connected(folder, meter=device(sent=10)) as (driver, _):
        refused = await failure(driver)

        assert "replay" in str(refused)
        assert driver.breaches == {Breach.REPLAY: 1}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"encryption_key_file": "missing"}, "cannot read the secret"),
        ({"suite": 1}, "suite 1 is not supported"),
        ({"authentication_key_file": None}, "needs encryption_key_file and authentication_key_file"),
        ({"client": READER}, "not supported"),
        ({"client": 77}, "not recognised"),
        ({"security": "low", "client": LOW}, "needs a password"),
        ({"security": "low", "client": LOW, "password_file": "ek"}, "authentication failed"),
    ],
)
async def test_what_is_wrong_with_the_credentials_is_said_and_costs_no_other_meter(folder: Path, change, why) -> None:
    async with serving({1: device(), 2: device()}) as server:
        driver = driver_for(server, {"wrong": SECURED | change, "right": SECURED}, folder)
        await driver.connect()

        refused = await failure(driver, "wrong")
        assert why in str(refused)
        assert refused.reason in (Reason.DECLINED, Reason.NO_KEYS)
        assert await values(driver, meter="right")
        driver.close()


async def test_nothing_shows_a_key(folder: Path, caplog, capsys) -> None:
    caplog.set_level(0)
    async with connected(folder) as (driver, _):
        await values(driver)
        client = driver._clients["m1"]
        shown = repr(driver) + repr(vars(driver)) + repr(vars(client)) + repr(client._talk) + repr(client._access)
    (folder / "ek").write_text("11" * 16, encoding="ascii")
    async with connected(folder) as (driver, _):
        shown += repr(await failure(driver))
    shown += caplog.text + "".join(capsys.readouterr())

    for secret in (EK, AK, bytes.fromhex("11" * 16)):
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
