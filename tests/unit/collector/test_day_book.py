"""The book of days under way: when a day goes out, what it holds then, and how it is put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from collector.days.book import Book
from collector.days.day import QUARTERS, SiteDay
from collector.engine.fleet import Fleet
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.store.table import ENERGY_DAY, LOAD_BLOCK, Table, scaled
from collector.tariff.calendar import BLOCK_MS
from tests.support.engines import tariffs

BERLIN = "Europe/Berlin"
DAY = date(2026, 6, 18)


def fleet(timezone: str = "Asia/Shanghai") -> Fleet:
    document = {
        "sites": [{"id": "park", "timezone": timezone}, {"id": "town", "timezone": timezone}],
        "meters": [{"id": name, "site": "park"} for name in ("a", "b")] + [{"id": "t", "site": "town"}],
    }
    return Fleet(Registry(RegistrySettings.model_validate(document), "test"), tariffs())


def midnight(day: date = DAY, timezone: str = "Asia/Shanghai") -> int:
    """The first block of a local day."""
    moment = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    return round(moment.timestamp() * 1000) // BLOCK_MS


def blocks(known: Fleet, gateway: str, meter: str, numbers: Sequence[int], **columns: float | Sequence[float]) -> Table:
    """Ended blocks of one meter; by default each counts its own number in the day, and is covered."""
    count = len(numbers)
    given: Mapping[str, float | Sequence[float]] = {"import_kwh": np.arange(count) + 1.0, "covered": 1.0} | columns
    slots = np.repeat(known.slots(gateway, (meter,)), count)
    return Table(
        LOAD_BLOCK,
        known.series,
        slots,
        np.array(numbers, np.int64) * BLOCK_MS,
        tuple(scaled(name, 4, np.broadcast_to(np.asarray(v, np.float64), count)) for name, v in given.items()),
    )


def whole(known: Fleet, gateway: str, meter: str, more: int = 13, first: int | None = None, **columns: float) -> Table:
    """All blocks of the day and some of the next."""
    start = midnight() if first is None else first
    return blocks(known, gateway, meter, range(start, start + 96 + more), **columns)


def taken(book: Book, *tables: Table, site: str = "park") -> list[SiteDay]:
    for table in tables:
        book.add(table)
    return list(book.over(site))


def test_a_day_goes_out_when_all_its_gateways_are_three_hours_past_it() -> None:
    known = fleet()
    book = Book(known)
    assert not taken(book, whole(known, "gw-1", "a", 13), whole(known, "gw-2", "b", 12))
    (day,) = taken(book, blocks(known, "gw-2", "b", [midnight() + 96 + 12]))

    assert (day.site, day.day, day.meters) == ("park", DAY, ("a", "b"))
    assert (day.starts_at, day.ends_at) == (midnight() * BLOCK_MS, (midnight() + 96) * BLOCK_MS)
    assert day.measured.all()
    assert day.imported[0].tolist() == list(range(1, 97))


def test_a_day_goes_out_when_one_gateway_is_six_hours_past_it() -> None:
    known = fleet()
    book = Book(known)
    silent = blocks(known, "gw-2", "b", range(midnight(), midnight() + 50))
    assert not taken(book, silent, whole(known, "gw-1", "a", 24))
    (day,) = taken(book, blocks(known, "gw-1", "a", [midnight() + 96 + 24]))

    assert day.measured[day.meters.index("b")].sum() == 50


def test_a_gateway_that_reported_nothing_of_a_day_does_not_hold_it_up() -> None:
    known = fleet()
    book = Book(known)
    known.slots("gw-3", ("b",))

    assert len(taken(book, whole(known, "gw-1", "a"))) == 1


def test_days_go_out_oldest_first() -> None:
    known = fleet()
    book = Book(known)
    tables = [whole(known, "gw-1", "a", first=midnight() + 96 * n) for n in (2, 0, 1)]

    assert [day.day.day for day in taken(book, *tables)] == [18, 19, 20]


def test_the_end_of_the_readings_ends_the_days_under_way() -> None:
    known = fleet()
    book = Book(known)
    book.add(blocks(known, "gw-1", "a", range(midnight(), midnight() + 30)))

    assert not list(book.over("park"))
    assert [day.measured.sum() for day in book.over("park", finish=True)] == [30]


def test_blocks_of_a_day_that_is_over_are_passed_over_and_their_gateway_is_named() -> None:
    known = fleet()
    book = Book(known)
    assert len(taken(book, whole(known, "gw-1", "a"))) == 1
    assert book.missed() == {}
    late = range(midnight() + 20, midnight() + 100)

    assert not taken(book, blocks(known, "gw-2", "b", late))
    assert book.missed() == {"gw-2": (midnight() + 20) * BLOCK_MS}
    assert book.missed() == {}
    (day,) = book.over("park", finish=True)
    assert day.day == date(2026, 6, 19)


def test_what_was_spread_over_a_gap_into_a_day_that_is_over_is_no_reason_to_judge_again() -> None:
    known = fleet()
    book = Book(known)
    taken(book, whole(known, "gw-1", "a"))
    book.add(blocks(known, "gw-2", "b", range(midnight(), midnight() + 90), estimated=1.0, covered=0.0))

    assert book.missed() == {}


def test_a_quarter_that_was_spread_or_half_covered_was_not_measured() -> None:
    known = fleet()
    covered, estimated = np.ones(109), np.zeros(109)
    covered[3], covered[4], estimated[5] = 0.4, 0.5, 1.0
    (day,) = taken(Book(known), whole(known, "gw-1", "a", covered=covered, estimated=estimated))  # type: ignore[arg-type]

    assert np.flatnonzero(~day.measured[0]).tolist() == [3, 5]


def test_export_counts_against_import() -> None:
    known = fleet()
    (day,) = taken(Book(known), whole(known, "gw-1", "a", import_kwh=1.0, export_kwh=1.5))

    assert (day.net == -0.5).all()


def test_a_block_whose_registers_came_one_after_the_other_has_both() -> None:
    known = fleet()
    book = Book(known)
    book.add(whole(known, "gw-1", "a", import_kwh=3.0, export_kwh=np.nan))
    (day,) = taken(book, whole(known, "gw-1", "a", import_kwh=np.nan, export_kwh=1.0, covered=np.nan))

    assert (day.net == 2.0).all()
    assert day.measured.all()


def test_sites_have_days_of_their_own() -> None:
    known = fleet()
    book = Book(known)
    assert book.add(whole(known, "gw-1", "a")) == {"park"}
    assert book.add(blocks(known, "gw-1", "t", range(midnight(), midnight() + 9))) == {"town"}

    assert [day.meters for day in book.over("park")] == [("a",)]
    assert not list(book.over("town"))
    assert book.sites() == ["park", "town"]


def test_meters_that_are_not_registered_and_other_tables_are_passed_over() -> None:
    known = fleet()
    book = Book(known)
    table = whole(known, "gw-1", "a")

    assert book.add(whole(known, "gw-1", "nobody")) == set()
    assert book.add(Table(ENERGY_DAY, table.series, table.rows, table.at, table.columns)) == set()
    assert book.sites() == []


@pytest.mark.parametrize(
    ("day", "count", "where", "expected"),
    [
        (date(2026, 3, 29), 92, slice(8, 12), np.full(4, np.nan)),
        (date(2026, 10, 25), 100, slice(8, 12), (np.arange(9, 13) + np.arange(13, 17)) / 2),
    ],
    ids=["clocks put on", "clocks put back"],
)
def test_a_day_on_which_clocks_are_changed_stands_on_the_wall_clock(
    day: date, count: int, where: slice, expected: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> None:
    known = fleet(BERLIN)
    first = midnight(day, BERLIN)
    book = Book(known)
    (found,) = taken(book, blocks(known, "gw-1", "a", range(first, first + count + 13)))

    assert found.ends_at - found.starts_at == count * BLOCK_MS
    np.testing.assert_array_equal(found.imported[0, where], expected)
    assert found.imported[0, 95] == count
    assert found.imported[0, 0] == 1
    assert found.measured[0].sum() == (QUARTERS - 4 if count == 92 else QUARTERS)


def test_days_under_way_are_kept_gateway_by_gateway() -> None:
    known = fleet()
    book = Book(known)
    book.add(blocks(known, "gw-1", "a", range(midnight(), midnight() + 40), covered=0.7))
    book.add(blocks(known, "gw-2", "b", range(midnight() + 5, midnight() + 45)))
    anew, again = fleet(), Book(fleet())
    again = Book(anew)
    for gateway in ("gw-2", "gw-1"):  # slots are given in another order
        again.restore(gateway, book.snapshot(gateway))
    (expected,) = taken(book, *(blocks(known, g, m, range(midnight() + 60, midnight() + 109)) for g, m in PAIRS))
    (found,) = taken(again, *(blocks(anew, g, m, range(midnight() + 60, midnight() + 109)) for g, m in PAIRS))

    assert found.meters == expected.meters
    np.testing.assert_allclose(found.imported, expected.imported, rtol=1e-7)
    np.testing.assert_array_equal(found.measured, expected.measured)
    np.testing.assert_array_equal(found.net, expected.net)


PAIRS = (("gw-1", "a"), ("gw-2", "b"))


def test_what_was_kept_of_a_day_that_is_over_by_now_is_passed_over() -> None:
    known = fleet()
    book = Book(known)
    book.add(blocks(known, "gw-1", "a", range(midnight(), midnight() + 40)))
    again = Book(known)
    again.over_until("park", midnight() + 96)
    again.restore("gw-1", book.snapshot("gw-1"))

    assert not list(again.over("park", finish=True))


def test_bytes_that_are_no_days_under_way_are_refused() -> None:
    with pytest.raises(ValueError, match="no days under way"):
        Book(fleet()).restore("gw-1", b"\xff")


def test_more_meters_than_a_day_had_room_for_find_theirs() -> None:
    document = {
        "sites": [{"id": "park"}],
        "meters": [{"id": f"m-{n:02}", "site": "park"} for n in range(50)],
    }
    known = Fleet(Registry(RegistrySettings.model_validate(document), "test"), tariffs())
    book = Book(known)
    for n in range(50):
        book.add(whole(known, "gw-1", f"m-{n:02}", import_kwh=float(n)))
    (day,) = book.over("park")

    assert day.imported[:, 0].tolist() == list(range(50))


def test_a_meter_whose_gateway_was_renamed_has_one_row_with_the_blocks_of_both() -> None:
    known = fleet()
    (day,) = taken(
        Book(known),
        blocks(known, "gw-8", "a", range(midnight(), midnight() + 40), import_kwh=1.0),
        blocks(known, "gw-1", "a", range(midnight() + 41, midnight() + 130), import_kwh=2.0),
    )

    assert (day.meters, len(day.slots), day.imported.shape) == (("a",), 1, (1, QUARTERS))
    assert np.nansum(day.imported) == 40 * 1.0 + 55 * 2.0
    assert np.flatnonzero(~day.measured[0]).tolist() == [40]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_two_gateways_that_read_a_meter_the_one_that_measured_counts(turn: int) -> None:
    known = fleet()
    tables = [
        whole(known, "gw-1", "a", 30, import_kwh=1.0, covered=0.0, estimated=1.0),
        whole(known, "gw-2", "a", 30, import_kwh=3.0),
        whole(known, "gw-2", "b", 30, import_kwh=5.0),
    ]
    (day,) = taken(Book(known), *tables[::turn])

    assert day.meters == ("a", "b")
    assert day.imported[:, 7].tolist() == [3.0, 5.0]
    assert day.measured.all()


def test_what_is_judged_again_stands_before_what_was_put_back() -> None:
    known = fleet()
    book = Book(known)
    (before,) = taken(book, whole(known, "gw-1", "a", import_kwh=1.0))
    book.over_until("park", midnight())
    book.reopen(before, midnight())
    (again,) = taken(book, whole(known, "gw-9", "a", 30, import_kwh=2.0))

    assert again.meters == ("a",)
    assert (again.imported == 2.0).all()
