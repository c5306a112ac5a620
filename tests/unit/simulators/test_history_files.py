import csv
import gzip
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from collector.registry.registry import Registry, load_registry
from metering.errors import StopAndFix
from metering.quantity import QUANTITIES
from simulators.history.files import COLUMNS, write_history
from simulators.history.metering import History
from simulators.history.scenarios import Incident
from simulators.history.span import Span

SPAN = Span(date(2026, 4, 30), 7)
NOON = 3 * 96
INCIDENTS = (
    Incident("m0001", "announced_closure", 2 * 96, 4 * 96, level=0.02),
    Incident("m0002", "unannounced_closure", 2 * 96, 4 * 96, level=0.02),
    Incident("m0003", "announced_tenant", NOON, 7 * 96, level=1.5, notes={"opens_later_h": 1.0, "closes_later_h": 1.0}),
    Incident("m0004", "over_approved", NOON, 5 * 96, 1.15, hours=(10.0, 12.0), notes={"approved_kva": 40.0}),
    Incident("m0005", "approved_work", 2 * 96 + 36, 2 * 96 + 44),
    Incident("m0006", "pv_installed", NOON, 7 * 96, level=8.0),
    Incident("m0007", "h1", 2 * 96, 7 * 96, level=0.4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("history") / "town"
    write_history(History(5, 12, SPAN, INCIDENTS), path, "csv", "electrical")
    return path


@pytest.fixture(scope="module")
def registry(folder: Path) -> Registry:
    return load_registry(folder / "registry.yaml")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "readings.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_header_names_quantities_of_the_catalogue(folder: Path) -> None:
    header = list(rows(folder)[0])

    assert header[:2] == ["measured_at", "meter_id"]
    assert header[-1] == "meter_events"
    assert set(header[2:-1]) <= set(QUANTITIES)


def test_rows_stand_by_time_then_meter_at_the_end_of_each_interval_in_utc(folder: Path) -> None:
    found = rows(folder)
    places = [(row["measured_at"], row["meter_id"]) for row in found]

    assert found[0]["measured_at"] == "2026-04-29T16:15:00Z"
    assert found[-1]["measured_at"] == "2026-05-06T16:00:00Z"
    assert places == sorted(set(places))
    assert 0.99 < len(places) / (7 * 96 * 13) <= 1


def test_values_have_the_resolution_of_the_catalogue(folder: Path) -> None:
    for row in rows(folder)[::50]:
        for name, quantity in ((name, QUANTITIES[name]) for name in COLUMNS["electrical"]):
            assert len(row[name].partition(".")[2]) <= quantity.decimals


def test_events_stand_in_the_row_that_tells_them(folder: Path) -> None:
    told = [(row["meter_id"], row["meter_events"]) for row in rows(folder) if row["meter_events"]]

    assert told == [("m0005", "cover_opened"), ("m0005", "cover_closed")]


def test_the_same_history_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_history(History(5, 12, SPAN, INCIDENTS), tmp_path / name, "csv.gz", "electrical")
    one, two = ((tmp_path / name / "readings.csv.gz").read_bytes() for name in ("one", "two"))

    assert one == two
    assert gzip.decompress(one) == (folder / "readings.csv").read_bytes()


def test_a_file_of_energy_has_the_registers_that_a_balance_needs() -> None:
    assert COLUMNS["energy"] == ("active_power", "active_energy_import", "active_energy_export")


def test_parquet_holds_the_same_rows_with_real_instants(folder: Path, tmp_path: Path) -> None:
    path = write_history(History(5, 12, SPAN, INCIDENTS), tmp_path / "town", "parquet", "energy")
    table = pq.read_table(path).to_pylist()
    found = rows(folder)

    assert list(table[0]) == ["measured_at", "meter_id", *COLUMNS["energy"], "meter_events"]
    assert len(table) == len(found)
    assert table[-1]["measured_at"] == datetime.fromisoformat(found[-1]["measured_at"])
    assert table[-1]["active_energy_import"] == float(found[-1]["active_energy_import"])


def test_the_collector_reads_the_registry(registry: Registry) -> None:
    assert len(registry.meters) == 13
    assert registry.on_feeder("f01")[0] == "m0001"
    assert registry.meters["m0001"].maximum_current_a >= registry.meters["m0001"].base_current_a
    assert registry.sites["town-01"].holidays == tuple(date(2026, 5, 1) + timedelta(days=n) for n in range(5))


def test_a_drawn_town_has_a_registry_that_the_collector_reads(tmp_path: Path) -> None:
    history = History(3, 150, Span(date(2026, 3, 1), 14))
    write_history(history, tmp_path / "town", "parquet", "energy")
    found = load_registry(tmp_path / "town" / "registry.yaml")

    assert set(found.meters) == set(history.names)
    assert {one.master for one in found.feeders.values()} == set(history.masters.names)


def test_what_was_announced_stands_in_the_registry_and_nothing_else(registry: Registry) -> None:
    assert [registry.closed_on("m0001", date(2026, 5, day)) for day in (1, 2, 3, 4)] == [False, True, True, False]
    assert not registry.closed_on("m0002", date(2026, 5, 2))
    assert [(one.on, one.kind) for one in registry.changes_of("m0003")] == [(date(2026, 5, 3), "tenant")]
    assert [one.kva for one in registry.approvals_of("m0004")] == [40.0]
    assert registry.work_orders_of("m0005")[0].starts_at == datetime(2026, 5, 2, 1, tzinfo=UTC)
    assert registry.meters["m0006"].pv_kw == 8.0
    assert not registry.changes_of("m0007")


def test_the_truth_has_one_line_an_incident(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()]

    assert [(line["meter_id"], line["scenario"], line["class"]) for line in lines][-1] == (
        "m0007",
        "h1",
        "falsification",
    )
    assert lines[-1]["days"] == [f"2026-05-0{day}" for day in range(2, 7)]
    assert len(lines) == len(INCIDENTS)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(StopAndFix, match="not empty → name another folder"):
        write_history(History(5, 12, SPAN, ()), tmp_path, "csv", "energy")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(StopAndFix, match="folder that can be written to"):
        write_history(History(5, 12, SPAN, ()), tmp_path / "mine.txt", "csv", "energy")
