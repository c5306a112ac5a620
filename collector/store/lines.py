"""Tables → InfluxDB line protocol, whole columns at a time.

A value arrives as a scaled integer (12796 with 2 decimals is 127.96) and never becomes a float: its digits come from
tables of four characters. Float ``repr`` is what dominates every row-by-row encoder.

The lines of a table are one matrix of 32-bit words, one row a line. Every value starts on a word, so that four digits
are one look-up and one store:

    ",voltage_l1=" sign │ whole part, 4 digits a word │ "." and up to 3 decimals │ …

What is absent (padding, leading zeros, a null field) is byte 0 and is deleted at the end. A line without any field is
dropped. Identifiers need no escape: the codec lets none through that would. Times are thirteen digits:
milliseconds between 2001 and 2286, which the codec has checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from collector.store.table import Ints, Mask, Scaled, Series, Table

Words = npt.NDArray[np.uint32]
Whole = npt.NDArray[np.uint64]

_WORD: Final = 4
_GROUP: Final = np.uint64(10**_WORD)
_ROWS_AT_ONCE: Final = 2048  # their lines fit a second-level cache
_BUFFERS: Final = 8
_MINUS: Final = ord("-")


def _words(texts: Sequence[bytes]) -> Words:
    """Each text, padded to four bytes on the right, as one word."""
    return np.frombuffer(b"".join(text.ljust(_WORD, b"\0") for text in texts), np.uint32)


# 0…9999 with leading zeros; behind them the same without.
_PADDED: Final = _words([b"%04d" % i for i in range(10**_WORD)])
_SHORT: Final = _words([b"%d" % i for i in range(10**_WORD)])
_SHORT_THEN_PADDED: Final = np.concatenate([_SHORT, _PADDED])
_NOTHING_THEN_SHORT: Final = np.concatenate([_words([b""]), _SHORT[1:]])
_POINT: Final = {decimals: _words([b".%0*d" % (decimals, i) for i in range(10**decimals)]) for decimals in (1, 2, 3)}
_DIGIT: Final = _words([b"%d" % i for i in range(10)])


def quote_field(text: str) -> str:
    """A string field, quoted."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class LineEncoder:
    """Encodes tables; remembers the prefix of every series it has seen."""

    def __init__(self) -> None:
        """Start without a series."""
        self._prefixes: dict[str, Words] = {}
        self._buffers: dict[int, bytearray] = {}  # by size; fresh memory of this size costs more than the digits

    def encode(self, table: Table) -> bytes:
        """One line a row, each ended by a line break; the bytes are empty if no row has a field."""
        if len(table) == 0:
            return b""
        prefixes = self._prefix_words(table.measurement, table.series)
        layout = _Layout(prefixes.shape[1], table.columns, table.origin)
        parts = []
        for start in range(0, len(table), _ROWS_AT_ONCE):
            heads = prefixes[table.rows[start : start + _ROWS_AT_ONCE]]
            size = len(heads) * layout.template.nbytes
            if size not in self._buffers:
                if len(self._buffers) >= _BUFFERS:
                    self._buffers.clear()
                self._buffers[size] = bytearray(size)
            parts.append(_encode_rows(layout, heads, table, start, self._buffers[size]))
        return b"".join(parts)

    def _prefix_words(self, measurement: str, series: Sequence[Series]) -> Words:
        known = self._prefixes.get(measurement)
        have = 0 if known is None else len(known)
        if known is not None and have == len(series):
            return known
        # Series are only ever appended, so what is known stays as it is.
        new = [f"{measurement},gateway={one.gateway},meter={one.meter}".encode() for one in series[have:]]
        width = max([-(-len(one) // _WORD) for one in new] + ([known.shape[1]] if known is not None else []))
        matrix = np.zeros((len(series), width), np.uint32)
        if known is not None:
            matrix[:have, : known.shape[1]] = known
        if new:
            text = b"".join(one.ljust(width * _WORD, b"\0") for one in new)
            matrix[have:] = np.frombuffer(text, np.uint32).reshape(len(new), width)
        self._prefixes[measurement] = matrix
        return matrix


class _Place:
    """Where one column's value stands in a line, in words."""

    def __init__(self, at: int, column: Scaled) -> None:
        integers = column.integers if column.valid is None else column.integers[column.valid]
        lowest, highest = (int(integers.min()), int(integers.max())) if len(integers) else (0, 0)
        self.signed = lowest < 0
        self.decimals = column.decimals
        largest = max(highest, -lowest) // 10**column.decimals
        self.groups = -(-len(str(largest)) // _WORD)
        name = b",%s=" % column.name.encode()
        self.separator = at * _WORD  # byte of the comma, which becomes a space before the first field
        self.head = name + b"\0" * (-(len(name) + 1) % _WORD) + b"\0"  # the last byte is the sign's
        self.digits_at = at + len(self.head) // _WORD
        self.end = self.digits_at + self.groups + -(-(self.decimals + (self.decimals > 0)) // _WORD)

    def write(self, lines: Words, integers: Ints) -> None:
        """Put the digits of every row into its line."""
        magnitude = np.abs(integers).view(np.uint64) if self.signed else integers.view(np.uint64)
        if self.signed:
            lines.view(np.uint8)[integers < 0, self.digits_at * _WORD - 1] = _MINUS
        whole = magnitude
        if self.decimals:
            scale = np.uint64(10**self.decimals)
            whole = magnitude // scale
            self._write_fraction(lines, magnitude - whole * scale)
        self._write_whole(lines, whole)

    def _write_whole(self, lines: Words, whole: Whole) -> None:
        at = self.digits_at
        if self.groups == 1:
            lines[:, at] = _SHORT[whole]
            return
        rest = whole
        for i in range(self.groups - 1, 0, -1):  # from the last group: padded where digits stand before it
            higher = rest // _GROUP
            group = rest - higher * _GROUP
            lines[:, at + i] = _SHORT_THEN_PADDED[group + np.where(higher > 0, _GROUP, np.uint64(0))]
            if i < self.groups - 1:
                lines[rest == 0, at + i] = 0
            rest = higher
        lines[:, at] = _NOTHING_THEN_SHORT[rest]

    def _write_fraction(self, lines: Words, fraction: Whole) -> None:
        at = self.digits_at + self.groups
        if self.decimals <= 3:  # noqa: PLR2004 - the point and three digits fill a word
            lines[:, at] = _POINT[self.decimals][fraction]
            return
        rest = fraction
        tail = self.decimals - 3
        head = rest // np.uint64(10**tail)
        lines[:, at] = _POINT[3][head]
        rest = (rest - head * np.uint64(10**tail)) * np.uint64(10 ** (-tail % _WORD))
        for i in range(-(-tail // _WORD), 0, -1):  # trailing zeros fill the last word
            higher = rest // _GROUP
            lines[:, at + i] = _PADDED[rest - higher * _GROUP]
            rest = higher


class _Layout:
    """The constant words of a line, and where its parts stand."""

    def __init__(self, prefix_width: int, columns: Sequence[Scaled], origin: str) -> None:
        text = bytes(prefix_width * _WORD)
        self.places: list[_Place] = []
        for column in columns:
            place = _Place(len(text) // _WORD, column)
            self.places.append(place)
            text = (text + place.head).ljust(place.end * _WORD, b"\0")
        if origin:
            same = b",origin=" + quote_field(origin).encode()
            text += same + b"\0" * (-len(same) % _WORD)
        self.time_at = len(text) // _WORD
        text += b" \0\0\0" + bytes(4 * _WORD) + b"\n\0\0\0"
        self.template = np.frombuffer(text, np.uint32)


def _encode_rows(layout: _Layout, prefixes: Words, table: Table, start: int, buffer: bytearray) -> bytes | bytearray:
    rows = slice(start, start + len(prefixes))
    lines = np.frombuffer(buffer, np.uint32).reshape(len(prefixes), len(layout.template))
    lines[:] = layout.template
    lines[:, : prefixes.shape[1]] = prefixes
    for column, place in zip(table.columns, layout.places, strict=True):
        integers = column.integers[rows]
        place.write(lines, integers if column.valid is None else np.where(column.valid[rows], integers, 0))
    _write_time(lines, layout.time_at + 1, table.at[rows])
    kept = _separate(lines, [None if c.valid is None else c.valid[rows] for c in table.columns], layout)
    return (buffer if kept is lines else kept.tobytes()).translate(None, b"\0")


def _write_time(lines: Words, at: int, ms: Ints) -> None:
    rest = ms.astype(np.uint64)
    for i in (3, 2, 1):
        higher = rest // _GROUP
        lines[:, at + i] = _PADDED[rest - higher * _GROUP]
        rest = higher
    lines[:, at] = _DIGIT[rest]


def _separate(lines: Words, valid: Sequence[Mask | None], layout: _Layout) -> Words:
    """Blank what is absent and put the space before the first field of each line."""
    places = layout.places
    characters = lines.view(np.uint8)
    if valid[0] is None:  # the first field is in every line
        characters[:, places[0].separator] = ord(" ")
        first_known = True
    else:
        first_known = False
    for mask, place in zip(valid, places, strict=True):
        if mask is not None and not mask.all():
            lines[~mask, place.separator // _WORD : place.end] = 0
    if first_known:
        return lines
    present = np.stack([np.ones(len(lines), np.bool_) if mask is None else mask for mask in valid], axis=1)
    separators = np.array([place.separator for place in places])
    characters[np.arange(len(lines)), separators[present.argmax(axis=1)]] = ord(" ")
    return lines[present.any(axis=1)]
