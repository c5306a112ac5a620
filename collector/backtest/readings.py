"""The wall around pyarrow: readings from CSV, gzipped CSV or Parquet, batch by batch.

    measured_at,meter_id,<quantity>,…[,meter_events]

``measured_at`` is ISO 8601 (with ``Z`` or an offset; without one it is the time of the site) or a whole number of
seconds or milliseconds since 1970 UTC, in one form in the whole file; in Parquet it may be a timestamp or a date. An
empty cell is "no value", and so is what no meter can show (inf, 1e300). ``meter_events`` holds names of meter events,
separated by spaces. Columns that are no quantity are passed over, and named.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
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
_END_MS: Final = 7_258_118_400_000  # the year 2200: beyond it a number counts something else
_LARGEST: Final = 1e12  # kWh: no register has so many digits
_OFFSET: Final = re.compile(r"[T ]\d.*(Z|[+-]\d\d(:?\d\d)?)$")
_ARROW_CELL: Final = re.compile(r"In CSV column #(\d+): (?:Row #(\d+): )?CSV conversion error to \w+: (.*)", re.DOTALL)


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

    def __init__(self, path: Path, zone: str | None) -> None:
        """Look at the header.

        Args:
            path: .csv, .csv.gz or .parquet.
            zone: IANA zone of instants without an offset; ``None`` if sites differ, so that each needs one.

        Raises:
            StopAndFix: there is no such file, or its header cannot be used.
        """
        self.path = path
        self._zone = zone
        if not path.is_file():
            raise StopAndFix(f"{path}: there is no such file → give the file of readings")
        self._parquet = path.name.endswith(".parquet")
        self._header = self._names()
        for needed in (TIME, METER):
            if needed not in self._header:
                raise StopAndFix(f"{path}: there is no column {needed} → the header is {TIME},{METER},<quantities…>")
        self.quantities = tuple(name for name in self._header if name in QUANTITIES)
        if not self.quantities:
            raise StopAndFix(f"{path}: no column is a quantity → for example active_energy_import, active_power")
        self._wanted = [TIME, METER, *self.quantities, *([EVENTS] if EVENTS in self._header else [])]
        twice = [name for name in self._wanted if self._header.count(name) > 1]
        if twice:
            raise StopAndFix(f"{path}: column {twice[0]} stands in the header twice → take one of them away")
        self._ignored = tuple(name for name in self._header if name not in self._wanted)
        self._unusable = 0

    def hints(self) -> Iterator[str]:
        """What to say about columns and values that are passed over; complete after ``batches``."""
        for name in self._ignored:
            near = difflib.get_close_matches(name, [*QUANTITIES, EVENTS], 1)
            yield f"column {name} is no quantity and is passed over" + (f"; did you mean {near[0]}?" if near else "")
        if self._unusable:
            yield f"{self._unusable} values that no meter can show (infinite, or 1e12 and more) are passed over"

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
                if table.num_rows:
                    yield self._batch(table, row), done
                row += table.num_rows
        except (pa.ArrowException, OSError) as error:
            raise StopAndFix(f"{self.path}: {self._said(error)}") from error
        if not row:
            raise StopAndFix(f"{self.path}: there are no readings in it → one a line, below the header")

    def _names(self) -> list[str]:
        try:
            if self._parquet:
                return list(pa.parquet.read_schema(self.path).names)
            with pa.input_stream(self.path, compression="detect") as stream:
                return list(pa.csv.open_csv(stream).schema.names)
        except (pa.ArrowException, OSError) as error:
            raise StopAndFix(f"{self.path}: cannot be read: {error}") from error

    def _tables(self) -> Iterator[tuple[Any, int]]:
        if self._parquet:
            with pa.parquet.ParquetFile(self.path) as file:
                for n, table in enumerate(file.iter_batches(_BATCH_ROWS, columns=self._wanted), 1):
                    yield table, min(self.bytes, n * _BATCH_ROWS * self.bytes // max(file.metadata.num_rows, 1))
            return
        types = dict.fromkeys(self._wanted, pa.string()) | dict.fromkeys(self.quantities, pa.float64())
        with self.path.open("rb") as raw:
            stream = pa.input_stream(raw, compression="gzip" if self.path.suffix == ".gz" else None)
            reader = pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(block_size=_BATCH_BYTES),
                convert_options=pa.csv.ConvertOptions(column_types=types, include_columns=self._wanted),
            )
            for table in reader:
                yield table, raw.tell()

    def _batch(self, table: Any, first_row: int) -> Batch:
        times, names = (self._given(table, name, first_row) for name in (TIME, METER))
        values = np.stack([self._floats(table, name, first_row) for name in self.quantities])
        events = {}
        if EVENTS in self._wanted:
            said = _plain(table.column(EVENTS))
            if not pa.types.is_null(said.type):
                for row in np.flatnonzero(pc.fill_null(pc.greater(pc.utf8_length(said), 0), False).to_numpy(False)):
                    events[int(row)] = str(said[int(row)])
        meter = names.cast(pa.string()).dictionary_encode()
        return Batch(
            self._instants(times, first_row),
            meter.dictionary.to_pylist(),
            meter.indices.to_numpy(zero_copy_only=False).astype(np.int64),
            values,
            events,
        )

    def _given(self, table: Any, name: str, first_row: int) -> Any:
        """A column in which every row has to say something."""
        column = _plain(table.column(name))
        missing = column.is_null()
        if _is_text(column):
            missing = pc.or_(missing, pc.fill_null(pc.equal(column, ""), False))
        rows = np.flatnonzero(missing.to_numpy(zero_copy_only=False))
        if len(rows):
            raise self._wrong(first_row + int(rows[0]), f"there is no {name} → give every reading both")
        return column

    def _instants(self, column: Any, first_row: int) -> Ints:
        """Instants in ms, whatever the column holds."""
        if _is_text(column):
            text = str(column[0])
            if text.isdigit():
                found = self._cast(column, TIME, first_row, lambda part: part.cast(pa.int64()))
            elif _OFFSET.search(text):
                found = self._cast(column, TIME, first_row, lambda part: part.cast(pa.timestamp("ns", tz="UTC")))
            else:
                found = self._cast(column, TIME, first_row, lambda part: part.cast(pa.timestamp("ns")))
        elif pa.types.is_date(column.type):
            found = column.cast(pa.timestamp("ms"))
        else:
            found = column
        counted = not pa.types.is_timestamp(found.type)
        if not counted and found.type.tz is None:
            found = self._cast(found, TIME, first_row, self._at_the_site)
        if not counted:
            found = found.cast(pa.timestamp("ms", tz="UTC"), safe=False)
        at: Ints = found.cast(pa.int64()).to_numpy(zero_copy_only=False).astype(np.int64)
        if counted:
            at = np.where(at < _FIRST_MS, at * 1000, at)
        outside = np.flatnonzero((at < 0) | (at >= _END_MS))
        if len(outside):
            row = int(outside[0])
            raise self._wrong(
                first_row + row, f"{TIME} {column[row]} lies not between 1970 and 2200 → a number counts seconds or ms"
            )
        return at

    def _at_the_site(self, column: Any) -> Any:
        if self._zone is None:
            raise pa.ArrowInvalid("an instant without an offset, and the sites have several time zones")
        return pc.assume_timezone(column, self._zone, ambiguous="earliest")

    def _floats(self, table: Any, name: str, first_row: int) -> Floats:
        column = _plain(table.column(name))
        if _is_text(column):
            column = pc.if_else(pc.equal(column, ""), None, column)
        numbers = self._cast(column, name, first_row, lambda part: part.cast(pa.float64()))
        found: Floats = numbers.to_numpy(zero_copy_only=False)
        unusable = np.abs(found) >= _LARGEST
        self._unusable += int(unusable.sum())
        return np.where(unusable, np.nan, found)

    def _cast(self, column: Any, name: str, first_row: int, cast: Callable[[Any], Any]) -> Any:
        try:
            return cast(column)
        except pa.ArrowException:
            start, stop = 0, len(column)
            while stop - start > 1:  # look for the first one that cannot be cast
                middle = (start + stop) // 2
                try:
                    cast(column.slice(start, middle - start))
                    start = middle
                except pa.ArrowException:
                    stop = middle
            said = f"{name} {column[start]}"
            if name != TIME:
                raise self._wrong(first_row + start, f"{said} is no number → a number, or nothing") from None
            raise self._wrong(
                first_row + start,
                f"{said} cannot be used → write 2026-04-20T00:15:00Z or …+08:00, local time of a zone all sites share, "
                "or seconds or ms since 1970: one form in the whole file",
            ) from None

    def _wrong(self, row: int, text: str) -> StopAndFix:
        place = f"row {row + 1}" if self._parquet else f"line {row + 2}"
        return StopAndFix(f"{self.path}: {place}: {text}")

    def _said(self, error: Exception) -> str:
        """What pyarrow says about a cell, with the name of its column."""
        cell = _ARROW_CELL.match(str(error))
        if cell is None:
            return str(error)
        place = f"line {cell[2]}: " if cell[2] else ""
        return f"{place}{self._header[int(cell[1])]}: {cell[3]}" + (
            " → a number, or nothing" if "value" in cell[3] else ""
        )


def _plain(column: Any) -> Any:
    """The values of a column that numbers its texts."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _is_text(column: Any) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))
