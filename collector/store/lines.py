"""Tables → InfluxDB line protocol, whole columns at a time.

A value arrives as a scaled integer (12796 with 2 decimals is 127.96) and never becomes a float: its digits
come from a table of the 10,000 four-digit groups. Float ``repr`` is what dominates every row-by-row encoder.

The lines of a table are one matrix of bytes, one row a line. A value has as many digits as the widest of its
column in this table, leading zeros included (``00127.96``); a negative one starts with ``-``. What is absent
(a null field, the padding of a short series) stays byte 0 and is squeezed out at the end. A line without any
field is dropped. Times are thirteen digits: milliseconds between 2001 and 2286, which the codec has checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.store.table import Ints, Mask, Scaled, Series, Table

Bytes = npt.NDArray[np.uint8]

_ABSENT: Final = 0
_GROUP: Final = 4
_ZERO: Final = ord("0")
_MINUS: Final = ord("-")
_SPACE: Final = ord(" ")

_DIGITS: Final = np.array([b"%04d" % i for i in range(10**_GROUP)], "S4").view(np.uint8).reshape(-1, _GROUP)


def escape_tag(text: str) -> str:
    """Escape a tag value: comma, space and equals sign; a line break cannot be written at all."""
    return text.replace("\\", "\\\\").replace(",", "\\,").replace(" ", "\\ ").replace("=", "\\=").replace("\n", "\\n")


def quote_field(text: str) -> str:
    """A string field, quoted."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class LineEncoder:
    """Encodes tables; remembers the escaped prefix of every series it has seen."""

    def __init__(self) -> None:
        """Start without a series."""
        self._prefixes: dict[str, Bytes] = {}

    def encode(self, table: Table) -> bytes:
        """One line a row, each ended by a line break; the bytes are empty if no row has a field."""
        if len(table) == 0:
            return b""
        prefixes = self._prefix_matrix(table.measurement, table.series)
        layout = _Layout(prefixes.shape[1], table.columns)
        lines = np.tile(layout.template, (len(table), 1))
        lines[:, : prefixes.shape[1]] = prefixes[table.rows]
        for column, place in zip(table.columns, layout.places, strict=True):
            place.write(lines, column)
        _write_digits(lines, layout.time_at, 13, table.at)
        lines = _separate(lines, table.columns, layout)
        flat = lines.ravel()
        return bytes(flat[flat != _ABSENT].tobytes())

    def _prefix_matrix(self, measurement: str, series: Sequence[Series]) -> Bytes:
        known = self._prefixes.get(measurement)
        have = 0 if known is None else len(known)
        if known is not None and have == len(series):
            return known
        # Series are only ever appended, so what is known stays as it is.
        new = [
            f"{measurement},gateway={escape_tag(one.gateway)},meter={escape_tag(one.meter)}".encode()
            for one in series[have:]
        ]
        width = max([len(one) for one in new] + ([known.shape[1]] if known is not None else []))
        matrix = np.zeros((len(series), width), np.uint8)
        if known is not None:
            matrix[:have, : known.shape[1]] = known
        for row, prefix in enumerate(new, have):
            matrix[row, : len(prefix)] = np.frombuffer(prefix, np.uint8)
        self._prefixes[measurement] = matrix
        return matrix


class _Place:
    """Where one column's value stands in a line."""

    def __init__(self, at: int, column: Scaled) -> None:
        integers = column.integers if column.valid is None else column.integers[column.valid]
        largest = max(int(integers.max()), -int(integers.min())) if len(integers) else 0
        self.separator = at
        self.head = b",%s=" % column.name.encode()
        self.sign_at = at + len(self.head)
        self.whole_digits = len(str(largest // 10**column.decimals))
        self.decimals = column.decimals

    @property
    def text(self) -> bytes:
        """The constant bytes of this column: ``,name=0`` and zeros with the point among them."""
        fraction = b"." + b"0" * self.decimals if self.decimals else b""
        return self.head + b"0" + b"0" * self.whole_digits + fraction

    def write(self, lines: Bytes, column: Scaled) -> None:
        """Put the digits of every row into its line."""
        integers = column.integers if column.valid is None else np.where(column.valid, column.integers, 0)
        magnitude = np.abs(integers)
        negative = integers < 0
        if negative.any():
            lines[negative, self.sign_at] = _MINUS
        whole_at = self.sign_at + 1
        if self.decimals == 0:
            _write_digits(lines, whole_at, self.whole_digits, magnitude)
            return
        scale = 10**self.decimals
        whole = magnitude // scale
        _write_digits(lines, whole_at, self.whole_digits, whole)
        _write_digits(lines, whole_at + self.whole_digits + 1, self.decimals, magnitude - whole * scale)


class _Layout:
    """The constant bytes of a line, and where its parts stand."""

    def __init__(self, prefix_width: int, columns: Sequence[Scaled]) -> None:
        parts = [bytes(prefix_width)]
        at = prefix_width
        self.places: list[_Place] = []
        for column in columns:
            place = _Place(at, column)
            self.places.append(place)
            parts.append(place.text)
            at += len(place.text)
        parts.append(b" " + b"0" * 13 + b"\n")
        self.time_at = at + 1
        self.template = np.frombuffer(b"".join(parts), np.uint8)


def _write_digits(lines: Bytes, at: int, width: int, numbers: Ints) -> None:
    """Write the last ``width`` decimal digits of each number at column ``at``."""
    rest = numbers
    end = at + width
    while end > at:
        size = min(_GROUP, end - at)
        if end - size == at:  # the leading group: nothing is left above it
            group = rest
        else:
            higher = rest // 10**_GROUP
            group = rest - higher * 10**_GROUP
            rest = higher
        lines[:, end - size : end] = _DIGITS[group][:, _GROUP - size :]
        end -= size


def _separate(lines: Bytes, columns: Sequence[Scaled], layout: _Layout) -> Bytes:
    """Blank what is absent and put the space before the first field of each line."""
    places = layout.places
    if all(column.valid is None for column in columns):
        lines[:, places[0].separator] = _SPACE
        return lines
    rows = len(lines)
    valid: Mask = np.empty((rows, len(columns)), np.bool_)
    ends = [place.separator for place in places[1:]] + [layout.time_at - 1]
    for i, (column, place, end) in enumerate(zip(columns, places, ends, strict=True)):
        if column.valid is None:
            valid[:, i] = True
        else:
            valid[:, i] = column.valid
            lines[~column.valid, place.separator : end] = _ABSENT
    separators = np.array([place.separator for place in places])
    lines[np.arange(rows), separators[valid.argmax(axis=1)]] = _SPACE
    return lines[valid.any(axis=1)]
