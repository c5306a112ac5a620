"""A closed day that is put back goes out as it came: net energy, what was measured, and the verdict."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.days.closing import Closing
from collector.days.day import decode_day, encode_day
from collector.days.days import Days
from collector.days.suspicion import SuspicionSettings
from collector.engine.engine import Outcome
from collector.engine.fleet import Fleet
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.store.table import LOAD_BLOCK, Table, scaled
from collector.tariff.calendar import BLOCK_MS
from tests.support.engines import tariffs

REGISTRY = Registry(
    RegistrySettings.model_validate(
        {
            "sites": [{"id": "park", "timezone": "Europe/Berlin"}],
            "meters": [{"id": name, "site": "park"} for name in ("a", "b", "c")],
        }
    ),
    "test",
)
GATEWAYS = {"a": "gw-1", "b": "gw-2", "c": "gw-1"}
DAYS = {"ordinary": date(2026, 6, 18), "put on": date(2026, 3, 29), "put back": date(2026, 10, 25)}


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(DAYS)), st.integers(0, 2**32), st.floats(0, 0.5), st.booleans())
def test_a_day_that_is_put_back_goes_out_as_it_came(which: str, seed: int, gaps: float, exports: bool) -> None:
    rng = np.random.default_rng(seed)
    fleet = Fleet(REGISTRY, tariffs())
    days = Days(fleet, Closing(REGISTRY, SuspicionSettings()), "test")
    local = fleet.calendar_of_site("park").day_on(DAYS[which])
    count = local.end - local.first + 13
    outcome = Outcome()
    for meter, gateway in GATEWAYS.items():
        columns = {
            "import_kwh": rng.uniform(0, 9, count),
            "export_kwh": rng.uniform(0, 9, count) if exports else np.full(count, np.nan),
            "covered": (rng.random(count) > gaps).astype(np.float64),
            "estimated": (rng.random(count) < gaps / 2).astype(np.float64),
        }
        outcome.tables.append(
            Table(
                LOAD_BLOCK,
                fleet.series,
                np.repeat(fleet.slots(gateway, (meter,)), count),
                np.arange(local.first, local.first + count) * BLOCK_MS,
                tuple(scaled(name, 4, values) for name, values in columns.items()),
            )
        )
    ((_, closed),) = days.take(outcome).closed
    kept = decode_day(encode_day(closed))
    days.restore_past("park", [kept])

    days.reopen("park", local.first * BLOCK_MS)
    ((_, again),) = days.take(Outcome()).closed

    np.testing.assert_array_equal(again.net, closed.net)
    assert encode_day(again) == encode_day(closed)
