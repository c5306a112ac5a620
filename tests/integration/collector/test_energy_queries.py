"""What a user sees of energy: the same figures in tables and in JSON, for days, months and load blocks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from collector.cli import cli
from collector.engine.checkpoint import Checkpoint
from collector.store.sqlite_store import SqliteStore
from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round

REGISTRY = {
    "sites": [{"id": "park"}],
    "meters": [{"id": "m-1", "site": "park", "trade": "retail", "account": "A-1", "contract_kva": 30}],
}
APPROVAL = {"id": "a-1", "from": "2026-06-20T10:00:00+08:00", "to": "2026-06-20T12:00:00+08:00", "kva": 45}


@pytest.fixture
async def config(tmp_path: Path) -> Path:
    """A collector's folder after 30 hours of 6 kW and 2 kvar."""
    store = SqliteStore(tmp_path / "readings.db")
    await store.prepare()
    rounds = [
        make_round(
            {"active_energy_import": [1000 + i * 0.5], "reactive_energy_import": [500 + i / 6]},
            meters=["m-1"],
            at=T0 + i * 5 * MINUTE,
        )
        for i in range(30 * 12 + 1)
    ]
    await store.write(judge(engine(registry(["m-1"], trade="retail")), rounds).tables)
    await store.close()
    checkpoint = Checkpoint(tmp_path / "state.db")
    checkpoint.keep_approvals("m-1", json.dumps([APPROVAL]).encode())
    checkpoint.close()
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump(REGISTRY))
    settings = {
        "state": "state.db",
        "registry": "registry.yaml",
        "store": {"type": "sqlite", "path": "readings.db"},
    }
    (tmp_path / "collector.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "collector.yaml"


def asked(config: Path, *words: str) -> str:
    result = CliRunner().invoke(cli, ["query", *words, "-c", str(config)])
    assert result.exit_code == 0, result.output
    return result.stdout


async def test_a_running_month_is_the_sum_of_its_days(config: Path) -> None:
    (month,) = json.loads(asked(config, "months", "--json"))
    first, second = json.loads(asked(config, "energy", "--json"))

    assert month["month"] == "2026-06-01"
    assert month["total_kwh"] == first["total"] + second["total"] == 180.0
    assert month["running"] is True
    assert month["complete"] is False
    assert month["power_factor"] == 0.95
    assert (month["contract_kva"], month["approved_kva"]) == (30.0, 45.0)  # that one arrived at run time
    assert month["night_share"] == pytest.approx((8 + 6) / 30)
    assert (first["complete"], second["complete"]) == (True, False)
    assert first["own_window"] == 72.0
    assert first["sliding_demand_kw"] == 6.0


async def test_months_are_chosen_by_their_first_day(config: Path) -> None:
    assert json.loads(asked(config, "months", "--json", "--since", "2026-06-02")) == []
    assert len(json.loads(asked(config, "months", "m-1", "--json", "--since", "2026-06-01"))) == 1
    assert "2026-06-01" in asked(config, "months")


async def test_load_blocks_are_listed_one_a_quarter_of_an_hour(config: Path) -> None:
    words = ("load-blocks", "m-1", "--since", "2026-06-18T08:00", "--until", "2026-06-18T09:00")

    blocks = json.loads(asked(config, *words, "--json"))

    assert [block["import_kwh"] for block in blocks] == [1.5] * 4
    assert [block["import_kvarh"] for block in blocks] == pytest.approx([0.5] * 4, abs=1e-3)
    assert blocks[0] | {"import_kvarh": None} == {
        "at": "2026-06-18T00:00:00.000Z",
        "import_kwh": 1.5,
        "export_kwh": None,
        "import_kvarh": None,
        "covered": 1.0,
        "estimated": False,
    }
    assert "2026-06-18 08:45:00" in asked(config, *words)
