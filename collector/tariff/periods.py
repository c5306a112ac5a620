"""A tariff says which quarter of an hour of a local day belongs to which period.

Periods are 尖 sharp, 峰 peak, 平 flat and 谷 valley. Windows are dated data per province, voltage and season;
what is not in a window is flat. Every window starts and ends on a quarter of an hour, so that a 15-minute
demand block lies in exactly one period. The first schedule that fits a day is in force.
"""

from __future__ import annotations

import re
from datetime import date
from enum import IntEnum
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from metering.settings import Identifier, Language, Loaded, Problem, Settings, load_file

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
    windows: Windows = Field(description="The windows.")


class TariffVersion(Settings):
    """What is in force from a date on."""

    valid_from: date = Field(description="First local date it holds for.")
    schedules: tuple[Schedule, ...] = Field(min_length=1, description="The first that fits a day is in force.")


class Tariff(Settings):
    """One tariff with all its versions."""

    id: Identifier = Field(description="Name, as sites refer to it.")
    illustrative: bool = Field(description="Whether this is an example and not a published tariff.")
    source: str = Field(min_length=1, description="Where the windows were published.")
    versions: tuple[TariffVersion, ...] = Field(min_length=1, description="Versions, by their first date.")

    def day(self, day: date, holidays: frozenset[date]) -> tuple[Period, ...]:
        """The period of each of the 96 quarters of a local day of 24 hours.

        Before the first version, or where no schedule fits, the whole day is flat.
        """
        blocks = [Period.FLAT] * BLOCKS_PER_DAY
        kind: DayType = "holiday" if day in holidays else "weekend" if day.isoweekday() > 5 else "workday"  # noqa: PLR2004
        version = next((one for one in reversed(self.versions) if one.valid_from <= day), None)
        if version is None:
            return tuple(blocks)
        fitting = (one for one in version.schedules if day.month in one.months and kind in one.days)
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


def load_tariff(path: Path, lang: Language = "en") -> Tariff:
    """Read a tariff file.

    Raises:
        ConfigError: every mistake in it.
    """
    return load_file(path, Tariff, lang, lambda loaded: _check(loaded, lang))


def _check(loaded: Loaded[Tariff], lang: Language) -> list[Problem]:
    problems = []
    dates = [version.valid_from for version in loaded.value.versions]
    for i, (earlier, later) in enumerate(pairwise(dates), 1):
        if later <= earlier:
            text = "versions must stand by date → move it" if lang == "en" else "版本须按日期先后排列 → 请调整次序"
            problems.append(loaded.problem(("versions", i, "valid_from"), text))
    for v, version in enumerate(loaded.value.versions):
        for s, schedule in enumerate(version.schedules):
            taken: dict[int, str] = {}
            for name in ("sharp", "peak", "valley"):
                for w, (start, end) in enumerate(getattr(schedule.windows, name)):
                    clash = next((taken[block] for block in range(start, end) if block in taken), None)
                    if clash is not None:
                        text = f"overlaps a {clash} window → give each quarter of an hour one period"
                        if lang == "zh":
                            text = f"与 {clash} 时段重叠 → 每一刻钟只能属于一个时段"
                        problems.append(loaded.problem(("versions", v, "schedules", s, "windows", name, w), text))
                    taken |= dict.fromkeys(range(start, end), name)
    return problems
