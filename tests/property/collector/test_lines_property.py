"""The columnar encoder writes what a plain, row-by-row encoder writes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from collector.store.lines import LineEncoder
from collector.store.table import Scaled, Series, Table

Parsed = tuple[str, dict[str, Decimal | str], int]

LIMIT = 10**15


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 12))
    names = st.text("abcXYZ019_.-", min_size=1, max_size=40)
    series = [Series(draw(names), draw(names)) for _ in range(draw(st.integers(1, 5)))]
    columns = []
    for i in range(draw(st.integers(1, 6))):
        magnitude = draw(st.sampled_from([9, 1000, 99_999, 2**31, LIMIT]))
        integers = draw(st.lists(st.integers(-magnitude, magnitude), min_size=rows, max_size=rows))
        valid = draw(st.none() | st.lists(st.booleans(), min_size=rows, max_size=rows))
        mask = None if valid is None else np.array(valid)
        columns.append(Scaled(f"field_{i}", draw(st.integers(0, 9)), np.array(integers), mask))
    chosen = draw(st.lists(st.integers(0, len(series) - 1), min_size=rows, max_size=rows))
    at = draw(st.lists(st.integers(10**12, 10**13 - 1), min_size=rows, max_size=rows))
    origin = draw(st.sampled_from(["", "load_profile"]))
    return Table("reading", series, np.array(chosen), np.array(at), tuple(columns), origin)


def expected(table: Table) -> list[Parsed]:
    lines = []
    for i in range(len(table)):
        series = table.series[table.rows[i]]
        head = f"reading,gateway={series.gateway},meter={series.meter}"
        fields: dict[str, Decimal | str] = {
            c.name: Decimal(int(c.integers[i])).scaleb(-c.decimals)
            for c in table.columns
            if c.valid is None or c.valid[i]
        }
        if fields:  # what only says where nothing came from is no reading
            if table.origin:
                fields["origin"] = f'"{table.origin}"'
            lines.append((head, fields, int(table.at[i])))
    return lines


def parse(body: bytes) -> list[Parsed]:
    lines = []
    for line in body.decode().splitlines():
        head, fields, at = line.split(" ")
        pairs = [pair.split("=") for pair in fields.split(",")]
        lines.append((head, {name: value if name == "origin" else Decimal(value) for name, value in pairs}, int(at)))
    return lines


@given(tables())
def test_every_value_sign_null_and_time_is_written_as_it_is(table: Table) -> None:
    assert parse(LineEncoder().encode(table)) == expected(table)


@given(tables(), tables())
def test_an_encoder_that_has_seen_other_series_writes_the_same(first: Table, second: Table) -> None:
    encoder = LineEncoder()
    encoder.encode(first)
    appended = Table(
        second.measurement,
        [*first.series, *second.series],
        second.rows + len(first.series),
        second.at,
        second.columns,
        second.origin,
    )

    assert encoder.encode(appended) == LineEncoder().encode(second)


def test_numbers_are_written_without_leading_zeros() -> None:
    series = [Series("gw", "m")]
    columns = (
        Scaled("kwh", 3, np.array([123456789, 5, 100000000])),
        Scaled("kw", 3, np.array([-5, 12796, 0])),
    )
    table = Table("reading", series, np.zeros(3, np.intp), np.array([1_781_712_000_000] * 3), columns)

    assert LineEncoder().encode(table).decode().splitlines() == [
        "reading,gateway=gw,meter=m kwh=123456.789,kw=-0.005 1781712000000",
        "reading,gateway=gw,meter=m kwh=0.005,kw=12.796 1781712000000",
        "reading,gateway=gw,meter=m kwh=100000.000,kw=0.000 1781712000000",
    ]
