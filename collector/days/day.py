"""A local day of a site, as it is judged and as it is remembered.

``SiteDay`` is what the load blocks of a day add up to; ``ClosedDay`` is the same day after it was judged, with all
that later days need of it. Nothing else is remembered: judging a day is a function of the closed days before it, so a
day that late readings change is judged again, and the days after it, with the outcome they would have had.

All matrices have one row a meter and 96 columns, the quarters of the local wall clock. On a day of 92 blocks four
quarters are empty, on one of 100 four hold the mean of two blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from collector.engine.fleet import Floats
from collector.store.table import Mask

QUARTERS: Final = 96
DAYS_LOOKED_AT: Final = 42
DAYS_REMEMBERED: Final = 98
"""A day is compared with six weeks, and with fingerprints of two weeks that were compared with six weeks each; as many
days are kept that a day of six weeks ago can be judged again as it was."""

DayClass = Literal["workday", "saturday", "sunday", "holiday", "festival"]


@dataclass(frozen=True, slots=True)
class SiteDay:
    """What the meters of a site counted on one local day, kWh a quarter of an hour; NaN where it is not known."""

    site: str
    day: date
    starts_at: int  # ms
    ends_at: int
    meters: tuple[str, ...]  # by name
    slots: tuple[int, ...]
    imported: Floats
    exported: Floats  # NaN where the meter has no export register
    measured: Mask  # covered by readings; elsewhere the energy was spread over a gap
    power_factor: Floats  # by meter, of the day; NaN where reactive energy was not read

    @property
    def net(self) -> Floats:
        """Import less export, kWh, with the digits that a closed day keeps."""
        return (self.imported - np.nan_to_num(self.exported)).astype(np.float32).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Standing:
    """How one meter or feeder stands at the end of a day."""

    since: int  # ms: when the condition began
    opened_at: int | None  # ms: when it was found; None while it is only pending
    until: int  # ms: the end of the last day on which it held
    quiet: int = 0  # judged days below the limit while it is open
    kwh: float = 0.0  # at stake since then
    kwh_low: float = 0.0
    kwh_high: float = 0.0
    highest: float = 0.0  # score


@dataclass(frozen=True, slots=True)
class FeederDay:
    """What the balance of one feeder came to."""

    loss: tuple[float, float, float]  # share of the mean, of the load, of its square: see ``balance``
    noise_kwh: float  # of one quarter's residual
    clean: bool  # nothing was missing that the loss does not explain
    excess_kwh: float  # beyond the loss as it used to be
    energy_kwh: float  # of the master


@dataclass(frozen=True, slots=True)
class Ahead:
    """What was expected of the local day after a closed one, so that it can be told later how wrong it was."""

    curve: npt.NDArray[np.float16]  # (meters, quarters) kWh, NaN = nothing was expected
    peak_kw: npt.NDArray[np.float32]  # (meters,)


@dataclass(frozen=True, slots=True)
class Warned:
    """An early warning that is open."""

    part: str  # of the finding: the festival, or nothing
    day: date  # the local day it is about
    since: int  # ms
    expected_kva: float
    limit_kva: float
    power_factor: float


@dataclass(frozen=True, slots=True)
class ClosedDay:
    """A day that was judged."""

    day: date
    kind: DayClass
    meters: tuple[str, ...]
    net: npt.NDArray[np.float32]
    learns: Mask  # by meter: the day may teach what is usual
    score: npt.NDArray[np.float32]  # by meter: suspicion, NaN = not judged
    balance: npt.NDArray[np.float32]  # by meter: what the balance of its feeder says, NaN = not judged
    log_ratio: npt.NDArray[np.float32]  # by meter: ln(day / expected day), NaN = unknown
    oddness: npt.NDArray[np.float32]  # by meter: what its own past says, NaN = unknown
    odd_days: npt.NDArray[np.float32]  # by meter: for how many days in a row it has not been as expected
    feeders: dict[str, FeederDay] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)  # only where something is open
    touched: dict[str, int] = field(default_factory=dict)  # meter → ms: a cover or a magnet, at most 14 days ago
    power_factor: npt.NDArray[np.float32] | None = None  # by meter; a day of an earlier version has none
    ahead: Ahead | None = None
    warned: dict[str, Warned] = field(default_factory=dict)  # "kind:meter"


class _Record(msgspec.Struct, frozen=True):
    day: date
    kind: DayClass
    meters: tuple[str, ...]
    net: bytes
    learns: bytes
    score: bytes
    balance: bytes
    log_ratio: bytes
    oddness: bytes
    odd_days: bytes
    feeders: dict[str, tuple[tuple[float, float, float], float, bool, float, float]]
    standing: dict[str, tuple[int, int | None, int, int, float, float, float, float]]
    touched: dict[str, int]
    power_factor: bytes | None = None
    ahead: tuple[bytes, bytes] | None = None
    warned: dict[str, tuple[str, date, int, float, float, float]] = {}


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Record).decode


def encode_day(closed: ClosedDay) -> bytes:
    """A closed day as bytes, about 600 a meter."""
    return _encode(
        _Record(
            closed.day,
            closed.kind,
            closed.meters,
            closed.net.astype("<f4").tobytes(),
            closed.learns.astype(np.uint8).tobytes(),
            closed.score.astype("<f4").tobytes(),
            closed.balance.astype("<f4").tobytes(),
            closed.log_ratio.astype("<f4").tobytes(),
            closed.oddness.astype("<f4").tobytes(),
            closed.odd_days.astype("<f4").tobytes(),
            {
                name: (one.loss, one.noise_kwh, one.clean, one.excess_kwh, one.energy_kwh)
                for name, one in closed.feeders.items()
            },
            {
                name: (one.since, one.opened_at, one.until, one.quiet, one.kwh, one.kwh_low, one.kwh_high, one.highest)
                for name, one in closed.standing.items()
            },
            closed.touched,
            None if closed.power_factor is None else closed.power_factor.astype("<f4").tobytes(),
            None
            if closed.ahead is None
            else (closed.ahead.curve.astype("<f2").tobytes(), closed.ahead.peak_kw.astype("<f4").tobytes()),
            {
                name: (one.part, one.day, one.since, one.expected_kva, one.limit_kva, one.power_factor)
                for name, one in closed.warned.items()
            },
        )
    )


def decode_day(data: bytes) -> ClosedDay:
    """The closed day.

    Raises:
        ValueError: the bytes are none.
    """
    try:
        record = _decode(data)
        return ClosedDay(
            record.day,
            record.kind,
            record.meters,
            np.frombuffer(record.net, "<f4").reshape(len(record.meters), QUARTERS),
            np.frombuffer(record.learns, np.uint8).astype(np.bool_),
            np.frombuffer(record.score, "<f4"),
            np.frombuffer(record.balance, "<f4"),
            np.frombuffer(record.log_ratio, "<f4"),
            np.frombuffer(record.oddness, "<f4"),
            np.frombuffer(record.odd_days, "<f4"),
            {name: FeederDay(*one) for name, one in record.feeders.items()},
            {name: Standing(*one) for name, one in record.standing.items()},
            record.touched,
            None if record.power_factor is None else np.frombuffer(record.power_factor, "<f4"),
            None
            if record.ahead is None
            else Ahead(
                np.frombuffer(record.ahead[0], "<f2").reshape(len(record.meters), QUARTERS),
                np.frombuffer(record.ahead[1], "<f4"),
            ),
            {name: Warned(*one) for name, one in record.warned.items()},
        )
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a closed day: {error}") from error
