"""The ``backtest`` command as its user meets it: every form of file gives the same, every wrong one a clear message."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from collector.cli import main

HEADER = "measured_at,meter_id,active_power,active_energy_import,active_energy_export,meter_events"
NAMES = ("measured_at", "meter_id", "active_power", "active_energy_import", "active_energy_export", "meter_events")
START = datetime(2026, 4, 20, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
REGISTRY = "sites: [{id: park}]\nmeters: [{id: m-1, site: park, contract_kva: 1}, {id: m-2, site: park}]\n"

Row = tuple[datetime, str, float, float, float | None, str]


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str


@dataclass(frozen=True)
class Desk:
    """A folder with a registry, and somebody who types commands there."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def run(self, *words: object, registry: str = REGISTRY) -> Ran:
        """Type ``wattline-collector backtest --registry … <words>``."""
        (self.folder / "registry.yaml").write_text(registry, encoding="utf-8")
        known = ["backtest", "--registry", self.folder / "registry.yaml"]
        self.patch.setattr(sys, "argv", ["wattline-collector", *(str(one) for one in (*known, *words))])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = self.capture.readouterr()
        return Ran(0 if ended.value.code is None else int(ended.value.code), out, err)

    def judge(self, name: str, content: str | bytes, **options: str) -> Ran:
        """The same over a file with this content."""
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.run("--readings", path, **options)

    def results(self, readings: Path, **options: str) -> tuple[bytes, bytes, bytes]:
        """Events, determinants and scores of a file of readings."""
        paths = [self.folder / f"{name}.out" for name in ("events", "determinants", "scores")]
        ran = self.run(
            "--readings", readings, "--events", paths[0], "--determinants", paths[1], "--scores", paths[2], **options
        )
        assert ran.status == 0, ran.err
        return paths[0].read_bytes(), paths[1].read_bytes(), paths[2].read_bytes()

    def write(self, name: str, lines: Sequence[str]) -> Path:
        """A file of these lines."""
        path = self.folder / name
        text = "".join(f"{line}\n" for line in lines).encode()
        path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        return path


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, capsys, monkeypatch)


def rows(days: int = 1) -> list[Row]:
    """Two meters; one has no export register and draws twice its contract, of the other a cover is opened."""
    found: list[Row] = []
    for n in range(days * 96):
        at = START + timedelta(minutes=15 * n)
        for meter, export in (("m-1", None), ("m-2", 5.0)):
            counted = round(100 + n * (0.5 if meter == "m-1" else 0.1), 2)
            found.append((at, meter, 2.0, counted, export, "cover_opened" if (n, meter) == (30, "m-2") else ""))
    return found


def zulu(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def lines_of(readings: Sequence[Row], form: Callable[[datetime], object] = zulu) -> list[str]:
    told = [HEADER]
    for at, meter, power, counted, export, said in readings:
        told.append(f"{form(at)},{meter},{power},{counted},{'' if export is None else export},{said}")
    return told


def columns_of(readings: Sequence[Row]) -> dict[str, object]:
    found = dict(zip(NAMES, zip(*readings, strict=True), strict=True))
    return {name: list(values) for name, values in found.items()}


def parquet_of(desk: Desk, name: str, **types: pa.DataType) -> Path:
    columns = columns_of(rows())
    given = {"measured_at": pa.timestamp("ms", tz="UTC"), "meter_id": pa.string(), "meter_events": pa.string()} | types
    table = {
        column: pa.array(values, pa.float64()).cast(given[column])
        if column in given and column not in ("measured_at", "meter_id", "meter_events")
        else pa.array(values, given.get(column, pa.float64()))
        for column, values in columns.items()
    }
    parquet.write_table(pa.table(table), desk.folder / name)
    return desk.folder / name


# --- every form gives the same --------------------------------------------------------------------


def test_csv_gzip_and_parquet_give_the_same_bytes(desk: Desk) -> None:
    expected = desk.results(desk.write("readings.csv", lines_of(rows())))

    assert desk.results(desk.write("readings.csv.gz", lines_of(rows()))) == expected
    assert desk.results(parquet_of(desk, "readings.parquet")) == expected
    assert all(expected)


@pytest.mark.parametrize(
    "form",
    [
        lambda at: at.astimezone(SHANGHAI).isoformat(),
        lambda at: f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S%z}",
        lambda at: f"{at.astimezone(SHANGHAI):%Y-%m-%dT%H:%M:%S}+08",
        lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.000000Z",
        lambda at: f"{at.astimezone(SHANGHAI):%Y-%m-%dT%H:%M:%S}",
        lambda at: f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}",
        lambda at: int(at.timestamp()),
        lambda at: int(at.timestamp()) * 1000,
    ],
    ids=["offset", "offset without colon", "offset of hours", "microseconds", "local", "local minutes", "s", "ms"],
)
def test_every_form_of_an_instant_means_the_same(desk: Desk, form: Callable[[datetime], object]) -> None:
    expected = desk.results(desk.write("readings.csv", lines_of(rows())))

    assert desk.results(desk.write("other.csv", lines_of(rows(), form))) == expected


@pytest.mark.parametrize(
    "types",
    [
        {"measured_at": pa.timestamp("s", tz="UTC")},
        {"measured_at": pa.timestamp("us", tz="Asia/Shanghai")},
        {"measured_at": pa.timestamp("ns", tz="UTC")},
        {"meter_id": pa.dictionary(pa.int32(), pa.string()), "meter_events": pa.dictionary(pa.int8(), pa.string())},
        {"meter_id": pa.large_string(), "meter_events": pa.large_string()},
        {"active_energy_import": pa.string(), "active_energy_export": pa.large_string()},
        {"active_power": pa.int64()},
        {"active_power": pa.float32()},
    ],
    ids=["s", "us", "ns", "dictionary", "large strings", "numbers as text", "whole numbers", "float32"],
)
def test_every_type_of_a_parquet_column_that_says_the_same_gives_the_same(
    desk: Desk, types: dict[str, pa.DataType]
) -> None:
    expected = desk.results(desk.write("readings.csv", lines_of(rows())))

    assert desk.results(parquet_of(desk, "other.parquet", **types)) == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_parquet_timestamp_without_a_zone_is_the_time_of_the_site(desk: Desk, unit: str) -> None:
    expected = desk.results(desk.write("readings.csv", lines_of(rows())))
    columns = columns_of(rows())
    local = [at.astimezone(SHANGHAI).replace(tzinfo=None) for at, *_ in rows()]
    columns["measured_at"] = pa.array(local, pa.timestamp(unit))
    parquet.write_table(pa.table(columns), desk.folder / "local.parquet")

    assert desk.results(desk.folder / "local.parquet") == expected


def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(desk: Desk) -> None:
    plain = desk.write("readings.csv", lines_of(rows()))
    expected = desk.results(plain)
    windows = desk.folder / "windows.csv"
    windows.write_bytes(b"\xef\xbb\xbf" + plain.read_bytes().replace(b"\n", b"\r\n"))

    assert desk.results(windows) == expected


def test_readings_in_any_order_and_twice_give_the_same(desk: Desk) -> None:
    expected = desk.results(desk.write("readings.csv", lines_of(rows())))
    told = lines_of(rows())

    assert desk.results(desk.write("other.csv", [told[0], *told[:0:-1], *told[50:120]])) == expected


def test_an_empty_cell_is_no_value_and_not_zero(desk: Desk) -> None:
    told = lines_of(rows())
    told[50] = ",".join([*told[50].split(",")[:2], "", "", "", ""])
    _, determinants, _ = desk.results(desk.write("readings.csv", told))
    _, expected, _ = desk.results(desk.write("other.csv", lines_of(rows())))

    totals = [{(r["meter_id"], r["day"]): r["total"] for r in csv.DictReader(text.decode().splitlines())}
              for text in (determinants, expected)]  # fmt: skip
    assert totals[0] == totals[1]


# --- what it says ---------------------------------------------------------------------------------


def test_determinants_are_the_differences_of_the_registers(desk: Desk) -> None:
    _, determinants, _ = desk.results(desk.write("readings.csv", lines_of(rows(3))))
    told = list(csv.DictReader(determinants.decode().splitlines()))
    for row in told:
        midnight = datetime.combine(date.fromisoformat(row["day"]), datetime.min.time(), SHANGHAI)
        inside = [r[3] for r in rows(3) if r[1] == row["meter_id"] and midnight <= r[0] <= midnight + timedelta(days=1)]
        assert float(row["total"]) == pytest.approx(inside[-1] - inside[0], abs=1e-4)
        periods = sum(float(row[name] or 0) for name in ("sharp", "peak", "flat", "valley"))
        assert periods == pytest.approx(float(row["total"]), abs=1e-3)
    assert {row["day"] for row in told} == {"2026-04-20", "2026-04-21", "2026-04-22", "2026-04-23"}


def test_events_of_a_condition_stand_as_days_in_the_scores(desk: Desk) -> None:
    events, _, scores = desk.results(desk.write("readings.csv", lines_of(rows())))
    opened = [one["data"] for one in map(json.loads, events.splitlines()) if one["data"]["lifecycle"] == "opened"]
    scored = {(row["meter_id"], row["kind"]) for row in csv.DictReader(scores.decode().splitlines())}

    assert {(one["meter"], one["kind"]) for one in opened} == scored
    assert scored


def test_only_the_wanted_files_are_written(desk: Desk) -> None:
    path = desk.write("readings.csv", lines_of(rows(1)))
    ran = desk.run("--readings", path, "--scores", desk.folder / "scores.csv")

    assert ran.status == 0
    assert {one.name for one in desk.folder.iterdir()} == {"readings.csv", "registry.yaml", "scores.csv"}


def test_meters_that_are_not_registered_are_said(desk: Desk) -> None:
    ran = desk.judge("readings.csv", f"{HEADER}\n2026-04-20T00:00:00Z,m-9,1,2,,\n2026-04-20T00:00:00Z,m-1,1,2,,\n")

    assert ran.status == 0
    assert ran.err == "1 meters are not registered and were not judged: m-9\n"
    assert ran.out.startswith("2 readings of 2 meters, 1 days")


def test_a_column_and_an_event_that_nobody_knows_are_said(desk: Desk) -> None:
    ran = desk.judge(
        "readings.csv",
        "measured_at,meter_id,activ_power,active_energy_import,meter_events,note\n"
        "2026-04-20T00:00:00Z,m-1,1,2,cover_opened lid_lost,x\n",
    )

    assert ran.status == 0
    assert "column activ_power is no quantity and is passed over; did you mean active_power?\n" in ran.err
    assert "column note is no quantity and is passed over" in ran.err
    assert "meter event lid_lost is unknown and is passed over\n" in ran.err


def test_values_that_no_meter_can_show_are_no_values_and_are_said(desk: Desk) -> None:
    told = lines_of(rows())
    expected = desk.results(desk.write("readings.csv", told))
    told[9] = told[9].replace(",2.0,", ",,")
    without = desk.results(desk.write("without.csv", told))
    told[9] = told[9].replace(",,", ",inf,", 1)
    path = desk.write("infinite.csv", told)

    assert desk.results(path) == without
    assert "1 values that no meter can show" in desk.run("--readings", path).err
    assert expected[1] != b""


# --- what is wrong is said once, clearly ----------------------------------------------------------

BEFORE = f"{HEADER}\n2026-04-20T00:00:00Z,m-1,1,2,,\n2026-04-20T00:15:00Z,m-1,1,2.2,,\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Empty CSV file"),
        (f"{HEADER}\n", "there are no readings in it"),
        ("meter_id,active_power\nm-1,1\n", "there is no column measured_at → the header is measured_at,meter_id"),
        ("measured_at,active_power\n2026-04-20T00:00:00Z,1\n", "there is no column meter_id →"),
        ("measured_at,meter_id,power\n2026-04-20T00:00:00Z,m-1,1\n", "no column is a quantity → for example active_"),
        (BEFORE.replace(",", ";"), "there is no column measured_at"),
        (bytes(range(256)) * 9, "cannot be read"),
        (f"{BEFORE}2026-04-20T00:30:00Z,,1,2,,\n", "line 4: there is no meter_id → give every reading both"),
        (f"{BEFORE},m-1,1,2,,\n", "line 4: there is no measured_at → give every reading both"),
        (f"{BEFORE}yesterday,m-1,1,2,,\n", "line 4: measured_at yesterday cannot be used → write 2026-04-20T00:15:00Z"),
        (f"{BEFORE}2026-04-20T00:30:00,m-1,1,2,,\n", "one form in the whole file"),
        (f"{BEFORE}2026-04-20T00:30:00Z,m-1,abc,2,,\n", "line 4: active_power: invalid value 'abc' → a number, or"),
        (f"{BEFORE}2026-04-20T00:30:00Z,m-1,1\n", "Row #4: Expected 6 columns, got 3"),
        (f"{HEADER}\n1776643200000000,m-1,1,2,,\n", "line 2: measured_at 1776643200000000 lies not between 1970 and"),
        ("measured_at,meter_id,demand,demand\n1,m-1,1,1\n", "column demand stands in the header twice → take one of"),
        ("measured_at,meter_id,meter_id,demand\n1,m-1,m-1,1\n", "column meter_id stands in the header twice"),
        (BEFORE.replace("m-1", "\xe4").encode("latin-1"), "meter_id: invalid UTF8"),
    ],
    ids=[
        "empty", "header only", "no time column", "no meter column", "no quantity", "semicolons", "no CSV", "no meter",
        "no time", "text as time", "two forms of time", "text as number", "short line", "microseconds",
        "quantity twice", "meter twice", "latin",
    ],
)  # fmt: skip
def test_a_csv_that_cannot_be_used_is_one_clear_message(desk: Desk, content: str | bytes, said: str) -> None:
    ran = desk.judge("readings.csv", content)

    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith(str(desk.folder / "readings.csv"))
    assert ran.err.count("\n") == 1
    assert ran.out == ""


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("meter_id", ["m-1", None], "row 2: there is no meter_id"),
        ("measured_at", [1_776_643_200_000, None], "row 2: there is no measured_at"),
        ("measured_at", ["2026-04-20T00:00:00Z", "soon"], "row 2: measured_at soon cannot be used"),
        ("active_power", ["1", "much"], "row 2: active_power much is no number → a number, or nothing"),
        ("active_power", [{"kw": 1}, {"kw": 2}], "is no number"),
    ],
    ids=["no meter", "no time", "text as time", "text as number", "structure"],
)
def test_a_parquet_file_that_cannot_be_used_is_one_clear_message(
    desk: Desk, column: str, values: list[object], said: str
) -> None:
    columns: dict[str, list[object]] = {
        "measured_at": [1_776_643_200_000, 1_776_644_100_000],
        "meter_id": ["m-1", "m-1"],
        "active_power": [1.0, 2.0],
    }
    parquet.write_table(pa.table(columns | {column: values}), desk.folder / "readings.parquet")
    ran = desk.run("--readings", desk.folder / "readings.parquet")

    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(("name", "cut"), [("readings.csv.gz", 0.6), ("readings.parquet", 0.6)])
def test_a_file_that_was_cut_off_is_said(desk: Desk, name: str, cut: float) -> None:
    whole = desk.write(name, lines_of(rows())) if name.endswith(".gz") else parquet_of(desk, name)
    data = whole.read_bytes()
    ran = desk.judge(name, data[: int(len(data) * cut)])

    assert ran.status == 2
    assert ran.err.startswith(str(whole))


def test_what_is_called_gz_and_is_none_is_said(desk: Desk) -> None:
    assert "incorrect header check" in desk.judge("readings.csv.gz", BEFORE).err


def test_a_file_or_folder_that_is_not_there_is_said(desk: Desk) -> None:
    path = desk.write("readings.csv", lines_of(rows(1)))
    assert "there is no such file → give the file" in desk.run("--readings", desk.folder / "none.csv").err
    assert "there is no such file" in desk.run("--readings", desk.folder).err
    ran = desk.run("--readings", path, "--events", desk.folder / "none" / "events.jsonl")
    assert ran.status == 2
    assert ran.err.endswith("cannot be written: No such file or directory → name a file in a folder that exists\n")


def test_the_readings_are_never_overwritten(desk: Desk) -> None:
    path = desk.write("readings.csv", lines_of(rows(1)))
    before = path.read_bytes()
    ran = desk.run("--readings", path, "--events", path)

    assert ran.status == 2
    assert "this is the file of readings" in ran.err
    assert path.read_bytes() == before


def test_mistakes_of_the_registry_are_said_with_their_places(desk: Desk) -> None:
    ran = desk.judge("readings.csv", BEFORE, registry="sites: [{id: park}]\nmeters: [{id: m-1, site: prak}]\n")

    assert ran.status == 2
    assert "registry.yaml:2:26 meters[0].site: there is no site prak → add it under sites" in ran.err


def test_local_time_needs_an_offset_where_sites_have_several_zones(desk: Desk) -> None:
    registry = "sites: [{id: park}, {id: far, timezone: Europe/Berlin}]\nmeters: [{id: m-1, site: park}]\n"
    ran = desk.judge("readings.csv", BEFORE.replace("Z", ""), registry=registry)

    assert ran.status == 2
    assert "local time of a zone all sites share" in ran.err
    assert desk.judge("readings.csv", BEFORE, registry=registry).status == 0
