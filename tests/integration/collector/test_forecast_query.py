"""What a user sees of forecasts: the same figures in tables and in JSON, and on both stores."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from collector.cli import cli
from collector.engine.checkpoint import Checkpoint
from collector.engine.progress import Progress
from collector.forecast.festival_days import encode_festival
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_writer import InfluxStore
from collector.store.sqlite_store import SqliteStore
from collector.store.store import Store
from tests.support.closed_days import MONDAY, Site, rows
from tests.support.servers import Influxd

REGISTRY = {"sites": [{"id": "park"}], "meters": [{"id": "m-1", "site": "park"}, {"id": "m-2", "site": "park"}]}


@pytest.fixture(params=["sqlite", "influx"])
async def config(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """A collector's folder after 30 days of a shop; another one moved in a week ago."""
    server: Influxd | None = None
    store: Store
    if request.param == "sqlite":
        kept: dict[str, str] = {"type": "sqlite", "path": "readings.db"}
        store = SqliteStore(tmp_path / "readings.db")
    else:
        server = Influxd(tmp_path / "influx")
        server.start()
        kept = {"type": "influx", "url": server.url}
        store = InfluxStore(InfluxSettings.model_validate(kept))
    await store.prepare()
    changes = [{"meter": "m-2", "on": MONDAY + timedelta(days=27), "kind": "tenant"}]
    site = Site(["m-1", "m-2"], changes=changes)
    for n in range(30):
        await store.write(site.live(1, start=MONDAY + timedelta(days=n)).tables)
    await store.close()
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(REGISTRY))
    settings = {"state": "state.db", "registry": "registry.yaml", "store": kept}
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(settings))
    yield tmp_path / "collector.yaml"
    if server is not None:
        server.kill()


def asked(config: Path, *words: str) -> str:
    result = CliRunner().invoke(cli, ["query", "forecast", *words, "-c", str(config), "--lang", "en"])
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_forecast_is_shown_by_day_by_curve_and_by_month(config: Path) -> None:
    told = Site(["m-1", "m-2"]).live(30)
    expected = rows(told, "forecast_day")[0]

    (day,) = json.loads(asked(config, "m-1", "--json"))
    curve = json.loads(asked(config, "m-1", "--curve", "--json"))
    (month,) = json.loads(asked(config, "m-1", "--month", "--json"))

    assert (day["day"], day["known"], day["clean_days"]) == ("2026-04-01", True, 30)
    assert day["kwh"] == expected["kwh"]
    assert day["kwh_low_80"] < day["kwh"] < day["kwh_high_80"] < day["kwh_high_95"]
    assert len(curve) == 96
    assert curve[0]["at"] == "2026-03-31T16:00:00.000Z"
    assert sum(block["kwh"] for block in curve) == pytest.approx(day["kwh"], abs=0.01)
    assert (month["month"], month["days_left"], month["so_far_kwh"]) == ("2026-04-01", 30, 0.0)
    assert month["kwh_low_95"] < month["kwh"] < month["kwh_high_95"]
    assert "2026-04-01" in asked(config, "m-1")
    assert "False" not in asked(config, "m-1")


async def test_earlier_forecasts_are_chosen_by_the_day_they_are_about(config: Path) -> None:
    days = json.loads(asked(config, "m-1", "--json", "--since", "2026-03-10", "--until", "2026-03-13"))

    assert [day["day"] for day in days] == ["2026-03-10", "2026-03-11", "2026-03-12"]


async def test_a_meter_with_too_short_a_past_says_so_and_guesses_nothing(config: Path) -> None:
    (day,) = json.loads(asked(config, "m-2", "--json"))

    assert (day["known"], day["clean_days"], day["kwh"], day["peak_at"]) == (False, 3, None, None)
    assert json.loads(asked(config, "m-2", "--curve", "--json")) == []
    assert "too short" in asked(config, "m-2")
    assert json.loads(asked(config, "m-3", "--json")) == []


def test_what_festivals_brought_is_kept_with_the_state(tmp_path: Path) -> None:
    day = MONDAY + timedelta(days=40)
    site = Site(site={"festivals": [day]})
    site.live(40)
    (left,) = site.close(day, 2 * site.usual(day)).festivals
    checkpoint = Checkpoint(tmp_path / "state.db")

    for _ in range(2):  # a day that is judged again takes its own place
        checkpoint.commit(Progress(festivals=[("park", day.isoformat(), encode_festival(left))]))

    assert checkpoint.festivals() == [("park", encode_festival(left))]
    checkpoint.close()
