"""What sales festivals brought: a small row a meter and festival day, kept for years.

    ratio = highest quarter (or energy) of the festival / what would have been expected of an ordinary such weekday

Closed days are kept for twelve weeks; the last 11.11 lies a year back. A festival day that does not learn (suspected,
closed, incomplete) leaves no ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from collector.days.day import DayClass
from collector.forecast.past import Past, level_of

FESTIVAL_DAYS_REMEMBERED: Final = 64
"""Of a site: two years of any calendar of festivals."""

_WEEKDAYS: Final[tuple[DayClass, ...]] = (*("workday",) * 5, "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class FestivalDay:
    """One festival day of a site, over the meters that left a ratio."""

    day: date
    meters: tuple[str, ...]
    peak_kw: npt.NDArray[np.float32]  # (meters,)
    peak_ratio: npt.NDArray[np.float32]
    kwh_ratio: npt.NDArray[np.float32]


class _Record(msgspec.Struct, frozen=True):
    day: date
    meters: tuple[str, ...]
    figures: bytes  # (3, meters)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def encode_festival(one: FestivalDay) -> bytes:
    """A festival day as bytes, about 20 a meter."""
    return _encode(
        _Record(one.day, one.meters, np.stack([one.peak_kw, one.peak_ratio, one.kwh_ratio]).astype("<f4").tobytes())
    )


def decode_festival(data: bytes) -> FestivalDay:
    """The festival day.

    Raises:
        ValueError: the bytes are none.
    """
    try:
        record = _decode(data)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a festival day: {error}") from error
    return FestivalDay(record.day, record.meters, *np.frombuffer(record.figures, "<f4").reshape(3, len(record.meters)))


def ordinary(kind: DayClass, day: date) -> DayClass:
    """The class a festival would have without the festival."""
    return _WEEKDAYS[day.weekday()] if kind == "festival" else kind


def festival_day(past: Past) -> FestivalDay | None:
    """What the last day of the past, a festival, leaves behind; ``None`` if nothing."""
    day = past.days[-1]
    kind = ordinary("festival", day.day)
    peak = past.peak_kw[-1] / level_of(past, past.peak_kw).of(kind, day.day.weekday())  # a festival sets no level
    kwh = past.kwh[-1] / level_of(past, past.kwh).of(kind, day.day.weekday())
    rows = np.flatnonzero(past.clean[-1] & ~np.isnan(peak) & ~np.isnan(kwh))
    if not len(rows):
        return None
    figures: Sequence[npt.NDArray[np.float32]] = [one[rows].astype(np.float32) for one in (past.peak_kw[-1], peak, kwh)]
    return FestivalDay(day.day, tuple(past.meters[row] for row in rows.tolist()), *figures)
