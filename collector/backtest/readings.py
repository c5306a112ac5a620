"""The wall around pyarrow: readings from CSV, gzipped CSV or Parquet, batch by batch.

    measured_at,meter_id,<quantity>,…[,meter_events]

``measured_at`` is ISO 8601 (with ``Z`` or an offset; without one it is the time of the site) or a whole number of
seconds or milliseconds since 1970 UTC. An empty cell is "no value". ``meter_events`` holds names of meter events,
separated by spaces. Columns that are no quantity are passed over, and named.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from collector.engine.fleet import Floats
from collector.store.table import Ints
from metering.errors import StopAndFix
from metering.quantity import QUANTITIES

TIME: Final = "measured_at"
METER: Final = "meter_id"
EVENTS: Final = "meter_events"

_BATCH_BYTES: Final = 16 * 1024 * 1024
_BATCH_ROWS: Final = 128 * 1024
_FIRST_MS: Final = 100_000_000_000  # a smaller whole number counts seconds: 1973 in ms, the year 5138 in s


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of the file, in its order."""

    at: Ints  # ms
    meters: list[str]  # the distinct meters of the batch
    meter: Ints  # index into ``meters``, one a row
    values: Floats  # (quantities, rows), NaN = no value
    events: dict[int, str]  # row → what ``meter_events`` says


class ReadingsFile:
    """One file of readings."""

    def __init__(self, path: Path, zone: str) -> None:
        """Look at the header.

        Args:
            path: .csv, .csv.gz or .parquet.
            zone: IANA zone of instants without an offset.

        Raises:
            StopAndFix: there is no such file, or a column that must be there is missing.
        """
        self.path = path
        self._zone = zone
        if not path.exists():
            raise StopAndFix(f"{path}: there is no such file → give the file of readings")
        self._parquet = path.name.endswith(".parquet")
        names = self._names()
        for needed in (TIME, METER):
            if needed not in names:
                raise StopAndFix(f"{path}: there is no column {needed} → the header is {TIME},{METER},<quantities…>")
        self.quantities = tuple(name for name in names if name in QUANTITIES)
        if not self.quantities:
            raise StopAndFix(f"{path}: no column is a quantity → for example active_energy_import, active_power")
        self._has_events = EVENTS in names
        self.ignored = tuple(name for name in names if name not in {TIME, METER, EVENTS, *self.quantities})

    def hints(self) -> Iterator[str]:
        """What to say about columns that are passed over."""
        for name in self.ignored:
            near = difflib.get_close_matches(name, [*QUANTITIES, EVENTS], 1)
            yield f"column {name} is no quantity and is passed over" + (f"; did you mean {near[0]}?" if near else "")

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    def batches(self) -> Iterator[tuple[Batch, int]]:
        """Rows in the order of the file, with the bytes of it that were read so far.

        Raises:
            StopAndFix: something in it is not what its column says.
        """
        row = 0
        try:
            for table, done in self._tables():
                yield self._batch(table, row), done
                row += table.num_rows
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
            raise StopAndFix(f"{self.path}: after row {row}: {error}") from error

    def _names(self) -> list[str]:
        try:
            if self._parquet:
                return list(pa.parquet.read_schema(self.path).names)
            with pa.input_stream(self.path, compression="detect") as stream:
                return list(pa.csv.open_csv(stream).schema.names)
        except (pa.ArrowInvalid, OSError) as error:
            raise StopAndFix(f"{self.path}: cannot be read: {error}") from error

    def _tables(self) -> Iterator[tuple[Any, int]]:
        wanted = [TIME, METER, *self.quantities, *([EVENTS] if self._has_events else [])]
        if self._parquet:
            with pa.parquet.ParquetFile(self.path) as file:
                for n, table in enumerate(file.iter_batches(_BATCH_ROWS, columns=wanted), 1):
                    yield table, min(self.bytes, n * _BATCH_ROWS * self.bytes // max(file.metadata.num_rows, 1))
            return
        types = dict.fromkeys(self.quantities, pa.float64()) | {TIME: pa.string(), METER: pa.string()}
        types |= {EVENTS: pa.string()} if self._has_events else {}
        with self.path.open("rb") as raw:
            stream = pa.input_stream(raw, compression="gzip" if self.path.suffix == ".gz" else None)
            reader = pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(block_size=_BATCH_BYTES),
                convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=wanted),
            )
            for table in reader:
                yield table, raw.tell()

    def _batch(self, table: Any, first_row: int) -> Batch:
        meter = table.column(METER).cast(pa.string()).dictionary_encode()
        if meter.null_count or table.column(TIME).null_count:
            raise StopAndFix(
                f"{self.path}: between rows {first_row + 1} and {first_row + table.num_rows} one has no "
                f"{TIME} or no {METER} → give every reading both"
            )
        values = np.stack([_floats(table.column(name)) for name in self.quantities])
        events = {}
        if self._has_events:
            said = table.column(EVENTS)
            for row in np.flatnonzero(pc.fill_null(pc.greater(pc.utf8_length(said), 0), False).to_numpy(False)):
                events[int(row)] = str(said[int(row)])
        return Batch(
            self._instants(table.column(TIME)),
            meter.dictionary.to_pylist(),
            meter.indices.to_numpy(zero_copy_only=False).astype(np.int64),
            values,
            events,
        )

    def _instants(self, column: Any) -> Ints:
        """Instants in ms, whatever the column holds."""
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = str(column[0])
            if text.isdigit():
                column = column.cast(pa.int64())
            elif text.endswith("Z") or text[-6:-5] in ("+", "-") or text[-5:-4] in ("+", "-"):
                column = column.cast(pa.timestamp("ms", tz="UTC"))
            else:
                column = column.cast(pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            if column.type.tz is None:
                column = pc.assume_timezone(column.cast(pa.timestamp("ms")), self._zone, ambiguous="earliest")
            column = column.cast(pa.timestamp("ms", tz="UTC"), safe=False).cast(pa.int64())
        found: Ints = column.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(found < _FIRST_MS, found * 1000, found)


def _floats(column: Any) -> Floats:
    found: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found
