"""A tariff says which quarter of an hour of a local day belongs to which period.

Periods are 尖 sharp, 峰 peak, 平 flat and 谷 valley. Windows are dated data per province, voltage and season;
what is not in a window is flat. Every window starts and ends on a quarter of an hour, so that a 15-minute
demand block lies in exactly one period. The first schedule that fits a day is in force.

A day is a holiday if the site or the tariff says so; the tariff names its holidays, so that a schedule can hold for
the spring festival alone. Night is what the tariff calls night; without a word about it, night is the valley.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from metering.config_file import load_file
from metering.language import Language
from metering.marked_yaml import Place
from metering.settings import Identifier, Settings

MINUTES_PER_BLOCK: Final = 15
BLOCKS_PER_DAY: Final = 96

DayType = Literal["workday", "weekend", "holiday"]


class Period(IntEnum):
    """The four periods, by falling price."""

    SHARP = 0  # 尖
    PEAK = 1  # 峰
    FLAT = 2  # 平
    VALLEY = 3  # 谷


_WINDOW: Final = re.compile(r"([01]\d|2[0-3]):(00|15|30|45)-([01]\d|2[0-4]):(00|15|30|45)")


def _window(value: object) -> object:
    if isinstance(value, str) and (match := _WINDOW.fullmatch(value)):
        start = (int(match[1]) * 60 + int(match[2])) // MINUTES_PER_BLOCK
        end = (int(match[3]) * 60 + int(match[4])) // MINUTES_PER_BLOCK
        if start < end <= BLOCKS_PER_DAY:
            return (start, end)
    raise PydanticCustomError("window", "not a window on quarters of an hour")


Window = Annotated[tuple[int, int], BeforeValidator(_window, json_schema_input_type=str)]
"""First block and first block after, counted from local midnight."""


class Windows(Settings):
    """The windows of one day; what is in none is flat."""

    sharp: tuple[Window, ...] = Field((), description="尖 windows, for example 11:00-12:00.")
    peak: tuple[Window, ...] = Field((), description="峰 windows.")
    valley: tuple[Window, ...] = Field((), description="谷 windows.")


class Schedule(Settings):
    """The windows of some months and some kinds of day."""

    months: tuple[Annotated[int, Field(ge=1, le=12)], ...] = Field(
        tuple(range(1, 13)), description="Months it holds for."
    )
    days: tuple[DayType, ...] = Field(("workday", "weekend", "holiday"), description="Kinds of day it holds for.")
    holidays: tuple[str, ...] = Field((), description="Only these holidays of the tariff, by name; empty = any day.")
    windows: Windows = Field(description="The windows.")


class TariffVersion(Settings):
    """What is in force from a date on."""

    valid_from: date = Field(description="First local date it holds for.")
    schedules: tuple[Schedule, ...] = Field(min_length=1, description="The first that fits a day is in force.")
    night: tuple[Window, ...] = Field((), description="Windows of the night; empty = the valley is the night.")


class HolidayWindow(Settings):
    """Days that have a name, for example 春节."""

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(min_length=1, description="Name, as schedules refer to it.")
    first: date = Field(alias="from", description="First local date.")
    last: date = Field(alias="to", description="Last local date, included.")


class Tariff(Settings):
    """One tariff with all its versions."""

    id: Identifier = Field(description="Name, as sites refer to it.")
    illustrative: bool = Field(description="Whether this is an example and not a published tariff.")
    source: str = Field(min_length=1, description="Where the windows were published.")
    region: str | None = Field(None, min_length=1, description="Where it is in force, for example 浙江.")
    voltage: str | None = Field(None, min_length=1, description="For which voltage, for example 1-10 kV.")
    holidays: tuple[HolidayWindow, ...] = Field((), description="Named holidays; they count besides those of a site.")
    versions: tuple[TariffVersion, ...] = Field(min_length=1, description="Versions, by their first date.")

    def day(self, day: date, holidays: frozenset[date]) -> tuple[Period, ...]:
        """The period of each of the 96 quarters of a local day of 24 hours.

        Before the first version, or where no schedule fits, the whole day is flat.
        """
        blocks = [Period.FLAT] * BLOCKS_PER_DAY
        named = {one.name for one in self.holidays if one.first <= day <= one.last}
        kind: DayType = "workday"
        if day in holidays or named:
            kind = "holiday"
        elif day.isoweekday() > 5:  # noqa: PLR2004
            kind = "weekend"
        version = self._version(day)
        fitting = (
            one
            for one in (version.schedules if version else ())
            if day.month in one.months and kind in one.days and (not one.holidays or named & set(one.holidays))
        )
        schedule = next(fitting, None)
        if schedule is not None:
            windows = schedule.windows
            for period, spans in (
                (Period.VALLEY, windows.valley),
                (Period.PEAK, windows.peak),
                (Period.SHARP, windows.sharp),
            ):
                for start, end in spans:
                    blocks[start:end] = [period] * (end - start)
        return tuple(blocks)

    def night(self, day: date) -> tuple[bool, ...] | None:
        """Which of the 96 quarters are night; ``None`` where the tariff leaves it to the valley."""
        version = self._version(day)
        if version is None or not version.night:
            return None
        return inside(version.night)

    def _version(self, day: date) -> TariffVersion | None:
        return next((one for one in reversed(self.versions) if one.valid_from <= day), None)


def inside(windows: Iterable[tuple[int, int]]) -> tuple[bool, ...]:
    """Which of the 96 quarters of a day lie in one of the windows."""
    spans = tuple(windows)
    return tuple(any(start <= block < end for start, end in spans) for block in range(BLOCKS_PER_DAY))


def load_tariff(path: Path, lang: Language = "en") -> Tariff:
    """Read a tariff file.

    Raises:
        ConfigError: every mistake in it.
    """
    return load_file(path, Tariff, lang, lambda loaded: [loaded.problem(*one) for one in mistakes(loaded.value, lang)])


def mistakes(tariff: Tariff, lang: Language) -> Iterator[tuple[Place, str]]:
    """What is wrong with a tariff whose every value is right by itself: where, and what to do."""
    words = _WORDS[lang]
    for i, (earlier, later) in enumerate(pairwise(version.valid_from for version in tariff.versions), 1):
        if later <= earlier:
            yield ("versions", i, "valid_from"), words["order"]
    names = {one.name for one in tariff.holidays}
    for i, holiday in enumerate(tariff.holidays):
        if holiday.last < holiday.first:
            yield ("holidays", i, "to"), words["holiday"]
    for v, version in enumerate(tariff.versions):
        for s, schedule in enumerate(version.schedules):
            where: Place = ("versions", v, "schedules", s)
            for i, name in enumerate(schedule.holidays):
                if name not in names:
                    yield (*where, "holidays", i), words["name"].format(name)
            for place, other in _overlaps(schedule.windows):
                yield (*where, "windows", *place), words["overlap"].format(other)


def _overlaps(windows: Windows) -> Iterator[tuple[Place, str]]:
    """Windows that share a quarter of an hour with one before them, and the period of that one."""
    taken: dict[int, str] = {}
    for name in ("sharp", "peak", "valley"):
        for w, (start, end) in enumerate(getattr(windows, name)):
            clash = next((taken[block] for block in range(start, end) if block in taken), None)
            if clash is not None:
                yield (name, w), clash
            taken |= dict.fromkeys(range(start, end), name)


_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "order": "versions must stand by date → move it",
        "holiday": "the holiday ends before it starts → correct from or to",
        "name": "the tariff names no holiday {} → add it under holidays, or correct the name",
        "overlap": "overlaps a {} window → give each quarter of an hour one period",
    },
    "zh": {
        "order": "版本须按日期先后排列 → 请调整次序",
        "holiday": "节假日的结束早于开始 → 请更正 from 或 to",
        "name": "电价中没有名为 {} 的节假日 → 请在 holidays 中添加，或更正名称",
        "overlap": "与 {} 时段重叠 → 每一刻钟只能属于一个时段",
    },
}
