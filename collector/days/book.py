"""The days under way: load blocks come in, and a site's day goes out when it is over.

A day of a site is over when every gateway that reported something of it is three hours past it (a meter that missed
the reading at midnight ends its last block with the next one), or when one of them is six hours past it: a gateway
that is silent may not hold up the others. A block of a day that is over is passed over; if it was measured (its
gateway was away for longer), the gateway is named by ``missed``, to be judged again like one with late readings.
Event time only; a book knows no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import msgspec
import numpy as np

from collector.days.day import QUARTERS, SiteDay
from collector.engine.fleet import Fleet, Floats
from collector.store.table import LOAD_BLOCK, Ints, Mask, Rows, Table
from collector.tariff.calendar import BLOCK_MS

_LONGEST_BLOCKS: Final = 100  # of a local day, where clocks are put back
_AFTER_BLOCKS: Final = 12  # three hours
_WAITS_BLOCKS: Final = 24  # six hours
_COLUMNS: Final = ("import_kwh", "export_kwh", "covered", "estimated", "import_kvarh")
_ALWAYS: Final = 4  # columns that every snapshot has; one of an earlier version has no reactive energy
_MEASURED: Final = 0.5  # share of a block that measured intervals must cover


@dataclass(slots=True)
class _OpenDay:
    """One row a meter, one column a block of the day, one layer a column of ``load_block``; NaN = nothing yet."""

    day: date
    first: int  # block
    end: int
    slots: list[int] = field(default_factory=list)
    values: Floats = field(default_factory=lambda: np.full((len(_COLUMNS), 16, _LONGEST_BLOCKS), np.nan))
    passed: dict[str, int] = field(default_factory=dict)  # gateway → the last block that it ended
    place: dict[int, int] = field(default_factory=dict)  # slot → row
    put_back: set[int] = field(default_factory=set)  # rows of a day that was closed before

    def rows(self, slots: Rows) -> Rows:
        """The row of each slot; new ones are made."""
        for slot in slots.tolist():
            if slot not in self.place:
                self.place[slot] = len(self.slots)
                self.slots.append(slot)
        if len(self.slots) > self.values.shape[1]:
            more = max(len(self.slots), 2 * self.values.shape[1]) - self.values.shape[1]
            self.values = np.concatenate([self.values, np.full((len(_COLUMNS), more, _LONGEST_BLOCKS), np.nan)], axis=1)
        return np.array([self.place[slot] for slot in slots.tolist()], np.intp)


class _Saved(msgspec.Struct, frozen=True):
    site: str
    day: date
    first: int
    end: int
    meters: tuple[str, ...]
    values: bytes
    passed: int
    reactive: bytes = b""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[_Saved]).decode


class Book:
    """The days under way of all sites."""

    def __init__(self, fleet: Fleet) -> None:
        """No day yet."""
        self._fleet = fleet
        self._open: dict[str, dict[int, _OpenDay]] = {}  # site → first block → day
        self._over: dict[str, int] = {}  # site → first block after the last day that is over
        self._missed: dict[str, int] = {}  # gateway → ms: its oldest measured block of a day that is over

    def sites(self) -> list[str]:
        """The sites with a day under way."""
        return list(self._open)

    def add(self, table: Table) -> set[str]:
        """Take ended blocks; return the sites they belong to."""
        if table.measurement != LOAD_BLOCK:
            return set()
        given = {column.name: column.integers / 10.0**column.decimals for column in table.columns}
        for column in table.columns:
            if column.valid is not None:
                given[column.name][~column.valid] = np.nan
        calendars = self._fleet.calendar_index(table.rows)
        blocks = table.at // BLOCK_MS
        touched = set()
        for calendar in np.unique(calendars).tolist():
            name = self._fleet.site_of_calendar(calendar)
            if name is None:  # a meter that is not registered
                continue
            touched.add(name)
            own, over = calendars == calendar, blocks < self._over.get(name, 0)
            if (own & over).any():
                self._miss(table.rows, table.at, given, own & over)
            left = np.flatnonzero(own & ~over)
            while len(left):
                local = self._fleet.calendars[calendar].day_of(int(blocks[left[0]]))
                inside = (blocks[left] >= local.first) & (blocks[left] < local.end)
                days = self._open.setdefault(name, {})
                if local.first not in days:
                    days[local.first] = _OpenDay(local.date, local.first, local.end)
                self._put(days[local.first], table.rows[left[inside]], blocks[left[inside]], given, left[inside])
                left = left[~inside]
        return touched

    def missed(self) -> dict[str, int]:
        """The gateways whose measured blocks were passed over since this was asked last → the oldest instant, ms."""
        missed, self._missed = self._missed, {}
        return missed

    def over(self, site: str, *, finish: bool = False) -> Iterator[SiteDay]:
        """The days of a site that are over, oldest first; they leave the book."""
        days = self._open.get(site, {})
        latest: dict[str, int] = {}
        for day in days.values():
            for gateway, block in day.passed.items():
                latest[gateway] = max(latest.get(gateway, 0), block)
        for first in sorted(days):
            day = days[first]
            everyone = all(latest[gateway] >= day.end + _AFTER_BLOCKS for gateway in day.passed)
            if not (finish or everyone or max(latest.values()) >= day.end + _WAITS_BLOCKS):
                return
            del days[first]
            self._over[site] = day.end
            yield self._site_day(site, day)

    def is_over(self, site: str, at_ms: int) -> bool:
        """Whether the day of an instant has left the book."""
        return at_ms < self._over.get(site, 0) * BLOCK_MS

    def snapshot(self, gateway: str) -> bytes:
        """What one gateway's meters have of the days under way."""
        series, saved = self._fleet.series, []
        for site, days in self._open.items():
            for day in days.values():
                rows = [row for row, slot in enumerate(day.slots) if series[slot].gateway == gateway]
                if rows:
                    meters = tuple(series[day.slots[row]].meter for row in rows)
                    values = day.values[:, rows].astype("<f4")
                    known, reactive = values[:_ALWAYS].tobytes(), values[_ALWAYS:].tobytes()
                    passed = day.passed[gateway]
                    saved.append(_Saved(site, day.day, day.first, day.end, meters, known, passed, reactive))
        return _encode(saved)

    def over_until(self, site: str, block: int) -> None:
        """Say which days are over: those before a block."""
        self._over[site] = block

    def restore(self, gateway: str, snapshot: bytes) -> None:
        """Take up what a gateway's meters had of the days under way, but for days that are over by now.

        Raises:
            ValueError: the bytes are no snapshot.
        """
        try:
            saved = _decode(snapshot)
        except msgspec.MsgspecError as error:
            raise ValueError(f"no days under way: {error}") from error
        for one in saved:
            if one.first < self._over.get(one.site, 0):
                continue
            day = self._open.setdefault(one.site, {}).setdefault(one.first, _OpenDay(one.day, one.first, one.end))
            rows = day.rows(self._fleet.slots(gateway, one.meters))
            values = np.frombuffer(one.values + one.reactive, "<f4").reshape(-1, len(one.meters), _LONGEST_BLOCKS)
            day.values[: len(values), rows] = values
            day.passed[gateway] = one.passed

    def reopen(self, day: SiteDay, first: int) -> None:
        """Put a closed day back; its blocks stand where the wall clock shows their quarters."""
        local = self._fleet.calendar_of_site(day.site).day_of(first)
        back = self._open.setdefault(day.site, {})[local.first] = _OpenDay(local.date, local.first, local.end)
        rows = back.rows(np.array(day.slots, np.intp))
        back.put_back.update(rows.tolist())
        columns = slice(0, local.end - local.first)
        known = np.where(day.measured, 1.0, np.nan)
        tangent = np.sqrt(1.0 / day.power_factor**2 - 1.0)[:, None]
        estimated = np.where(day.measured, 0.0, np.nan)
        for n, values in enumerate((day.imported, day.exported, known, estimated, day.imported * tangent)):
            back.values[n, rows, columns] = values[:, local.quarters]
        for slot in day.slots:
            back.passed[self._fleet.series[slot].gateway] = local.end + _AFTER_BLOCKS

    def _miss(self, slots: Rows, at: Ints, given: dict[str, Floats], which: Mask) -> None:
        nothing = np.zeros(len(slots))
        covered, estimated = (np.nan_to_num(given.get(name, nothing)) for name in ("covered", "estimated"))
        for row in np.flatnonzero(which & _is_measured(covered, estimated)).tolist():
            gateway, instant = self._fleet.series[slots[row]].gateway, int(at[row])
            self._missed[gateway] = min(self._missed.get(gateway, instant), instant)

    def _put(self, day: _OpenDay, slots: Rows, blocks: Rows, given: dict[str, Floats], chosen: Rows) -> None:
        rows, at = day.rows(slots), (blocks - day.first).astype(np.intp)
        for n, name in enumerate(_COLUMNS):
            if name in given:
                values = given[name][chosen]
                some = ~np.isnan(values)  # a block of which one register came later keeps what it had
                day.values[n, rows[some], at[some]] = values[some]
        last = int(blocks.max())
        for gateway in {self._fleet.series[slot].gateway for slot in slots[blocks == last].tolist()}:
            day.passed[gateway] = max(day.passed.get(gateway, 0), last)
        for slot, block in zip(slots[blocks != last].tolist(), blocks[blocks != last].tolist(), strict=True):
            gateway = self._fleet.series[slot].gateway
            day.passed[gateway] = max(day.passed.get(gateway, 0), int(block))

    def _site_day(self, site: str, day: _OpenDay) -> SiteDay:
        series = [self._fleet.series[slot] for slot in day.slots]
        order = sorted(range(len(series)), key=lambda n: (series[n].meter, n in day.put_back, series[n].gateway))
        blocks = day.end - day.first
        values = day.values[:, order, :blocks]  # a copy
        meters = tuple(series[row].meter for row in order)
        if len(set(meters)) < len(meters):
            kept = _one_row_a_meter(values, meters)
            values, order = values[:, kept], [order[row] for row in kept]
            meters = tuple(dict.fromkeys(meters))
        local = self._fleet.calendar_of_site(site).day_of(day.first)
        imported, exported, covered, estimated, reactive = (_on_the_clock(one, local.quarters) for one in values)
        return SiteDay(
            site=site,
            day=day.day,
            starts_at=day.first * BLOCK_MS,
            ends_at=day.end * BLOCK_MS,
            meters=meters,
            slots=tuple(day.slots[row] for row in order),
            imported=np.where(np.isnan(imported) & ~np.isnan(exported), 0.0, imported),
            exported=exported,
            measured=_is_measured(covered, estimated),
            power_factor=_power_factor(imported, reactive),
        )


def _one_row_a_meter(values: Floats, meters: Sequence[str]) -> list[int]:
    """Fill the first row of each meter with what other gateways know of it, in place; return those rows.

    A gateway that was renamed, or another that reads the meter too: a block that one of them measured counts.
    """
    first: dict[str, int] = {}
    for row, meter in enumerate(meters):
        own = first.setdefault(meter, row)
        if own == row:
            continue
        measured = _is_measured(values[2], values[3])
        unknown = np.isnan(values[:2, own]).all(axis=0)
        better = (measured[row] & ~measured[own]) | unknown
        values[:, own, better] = values[:, row, better]
    return list(first.values())


def _is_measured(covered: Floats, estimated: Floats) -> Mask:
    measured: Mask = (covered >= _MEASURED) & ~(estimated > 0)
    return measured


def _power_factor(imported: Floats, reactive: Floats) -> Floats:
    """kWh / √(kWh² + kvarh²) of the quarters of which both are known, three decimals; NaN where that is not half."""
    both = ~np.isnan(imported) & ~np.isnan(reactive)
    active = np.where(both, imported, 0.0).sum(axis=1)
    apparent = np.hypot(active, np.where(both, reactive, 0.0).sum(axis=1))
    enough = (both.sum(axis=1) >= QUARTERS // 2) & (active > 0)
    found: Floats = np.where(enough, np.round(active / np.where(enough, apparent, 1.0), 3), np.nan)
    return found


def _on_the_clock(values: Floats, quarters: Rows) -> Floats:
    """Blocks → quarters of the wall clock: the mean where the clock shows one twice, NaN where it skips one."""
    if len(quarters) == QUARTERS:
        return values
    total = np.zeros((len(values), QUARTERS))
    count = np.zeros((len(values), QUARTERS))
    known = ~np.isnan(values)
    np.add.at(total.T, quarters, np.where(known, values, 0.0).T)
    np.add.at(count.T, quarters, known.T.astype(np.float64))
    found: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found
