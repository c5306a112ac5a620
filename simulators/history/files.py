"""The three files of a history: what was read, what the utility knew, what was really done.

    readings.csv.gz  one row a meter and instant, by time, then masters before customers; also .csv and .parquet
    registry.yaml    for the collector
    truth.jsonl      one incident a line: nobody but a judge may read it

Readings are written day by day: memory holds one day, whatever the length. In CSV a time is ISO 8601 text; in Parquet
it is a timestamp in ms, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from gzip import GzipFile
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from metering.errors import StopAndFix
from simulators.history.metering import Day, History
from simulators.history.registry_text import registry_text

Format = Literal["csv", "csv.gz", "parquet"]
Quantities = Literal["energy", "electrical"]

COLUMNS: Final[dict[Quantities, tuple[str, ...]]] = {
    "energy": ("active_power", "active_energy_import", "active_energy_export"),
    "electrical": (
        "active_power",
        "active_power_l1",
        "active_power_l2",
        "active_power_l3",
        "reactive_power",
        "power_factor",
        "voltage_l1",
        "voltage_l2",
        "voltage_l3",
        "current_l1",
        "current_l2",
        "current_l3",
        "active_energy_import",
        "active_energy_export",
        "reactive_energy_import",
    ),
}
"""The quantities of a file."""

_GZIP_LEVEL: Final = 1  # the higher ones take twice the time for a tenth less


class _Writer(Protocol):
    """What both writers of pyarrow offer."""

    def write_table(self, table: Any) -> None:
        """Append rows."""


def write_history(history: History, folder: Path, form: Format, quantities: Quantities) -> Path:
    """Write all three files into a new or empty folder; returns that of the readings.

    Raises:
        StopAndFix: the folder holds something already, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise StopAndFix(f"{folder}: not empty → name another folder, or empty this one")
        (folder / "registry.yaml").write_text(registry_text(history), encoding="utf-8")
        lines = (json.dumps(one.truth(history.span)) + "\n" for one in history.incidents)
        (folder / "truth.jsonl").write_text("".join(lines), encoding="utf-8")
        path = folder / f"readings.{form}"
        with _writer(path, form, quantities) as writer:
            for day in history.days():
                writer.write_table(table(history, day, form, quantities))
    except OSError as error:
        raise StopAndFix(f"{folder}: {error.strerror} → name a folder that can be written to") from error
    return path


def table(history: History, day: Day, form: Format, quantities: Quantities) -> Any:
    """The rows of a day as a table."""
    rows, columns = np.nonzero(day.present)
    moments = [history.span.instant(int(n) + 1) for n in history.span.of_day(day.number)]
    if form == "parquet":
        times = pa.array([moment.astimezone(UTC) for moment in moments], pa.timestamp("ms", tz="UTC"))
    else:
        times = pa.array([moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in moments], pa.string())
    found = {"measured_at": times.take(rows), "meter_id": pa.array(history.names, pa.string()).take(columns)}
    found |= {name: pa.array(day.quantities[name][day.present]) for name in COLUMNS[quantities]}
    words = np.zeros(day.present.shape, dtype=np.int64)
    said = ["", *day.events.values()]
    for number, place in enumerate(day.events, 1):
        words[place] = number
    found["meter_events"] = pa.array(said, pa.string()).take(words[day.present])
    return pa.table(found)


def _schema(form: Format, quantities: Quantities) -> Any:
    times = pa.timestamp("ms", tz="UTC") if form == "parquet" else pa.string()
    names = [(name, pa.float64()) for name in COLUMNS[quantities]]
    return pa.schema([("measured_at", times), ("meter_id", pa.string()), *names, ("meter_events", pa.string())])


@contextmanager
def _writer(path: Path, form: Format, quantities: Quantities) -> Iterator[_Writer]:
    schema = _schema(form, quantities)
    if form == "parquet":
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            yield writer
        return
    options = csv.WriteOptions(quoting_style="none", quoting_header="none")
    with path.open("wb") as file:
        if form == "csv":
            with csv.CSVWriter(file, schema, write_options=options) as writer:
                yield writer
            return
        with (
            GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0) as squeezed,
            csv.CSVWriter(squeezed, schema, write_options=options) as writer,
        ):
            yield writer
