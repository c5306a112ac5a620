"""DL/T 645-2007 meters on a line: what they answer to reads, and that they refuse whatever writes.

Written from the standard's appendix A and independent of the edge agent's tables. What a meter measures comes in as a
``Reading``; its registers of past midnights are the same physics read at those instants. Tariff registers are fixed
shares of the whole: a simulated meter has no table of time zones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import reduce
from itertools import zip_longest
from operator import and_
from typing import Final

from simulators import meter_image as shown
from simulators.dlt645_framing import ANYBODY, Dlt645Frame
from simulators.faults import Delivery, Wire
from simulators.lies import Metered
from simulators.physics import Reading, Three

FROZEN_DAYS: Final = 62
TARIFF_SHARES: Final = (0.08, 0.34, 0.36, 0.22)  # 尖 峰 平 谷

_BEIJING: Final = timezone(timedelta(hours=8))
_READ: Final = 0x11
_FOLLOW_ON: Final = 0x12
_ADDRESS: Final = 0x13
_FROM_METER: Final = 0x80
_MORE: Final = 0x20
_NO_DATA: Final = 2
_PASSWORD: Final = 4
_BROADCAST: Final = 999_999_999_999
_DAILY_FREEZE: Final = 0x0506
_FROZEN: Final = (1, 2)  # import and export
_DATA_OCTETS: Final = 196  # in one frame, behind the identifier

Digits = Callable[[Reading], bytes]


def bcd(value: float, octets: int, decimals: int, *, signed: bool = False) -> bytes:
    """Packed decimal digits, low octet first; a sign stands in the highest bit."""
    whole = bytearray.fromhex(f"{round(abs(value) * 10**decimals) % 10 ** (2 * octets):0{2 * octets}d}")
    if signed and value < 0:
        whole[0] |= 0x80
    return bytes(whole[::-1])


def moment(at_ms: int, layout: str) -> bytes:
    """A time of the meter's clock in packed digits, low octet first; ``layout`` as in ``strftime``."""
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(_BEIJING)
    return bytes.fromhex(local.strftime(layout))[::-1]


@dataclass(frozen=True, slots=True)
class Dlt645Meter:
    """One meter: what it measures, how wrong its clock is, what its log holds."""

    meter: Metered
    single_phase: bool = False
    ahead_s: int = 0
    lacks: frozenset[int] = frozenset()  # identifiers that this one does not have
    log: Mapping[int, Sequence[bytes]] = field(default_factory=dict)  # DI3 DI2 DI1 → records, the newest first
    lived: Callable[[int, int], Sequence[bytes] | None] | None = None  # DI3 DI2 DI1 and now → the same, as time goes on

    def data(self, identifier: int, now_ms: int) -> bytes | None:
        """What stands behind an identifier; ``None`` if the meter does not have it."""
        if identifier in self.lacks:
            return None
        clock_ms = now_ms + 1000 * self.ahead_s
        match identifier:
            case 0x04000101:
                local = datetime.fromtimestamp(clock_ms / 1000, UTC).astimezone(_BEIJING)
                return moment(clock_ms, f"%y%m%d{int(local.strftime('%w')):02d}")
            case 0x04000102:
                return moment(clock_ms, "%H%M%S")
        kind, last = identifier >> 8, identifier & 0xFF
        records = self.log.get(kind)
        if records is None and self.lived is not None:
            records = self.lived(kind, now_ms)
        if records is not None:
            return self._logged(records, last)
        if kind >> 8 == _DAILY_FREEZE:
            return self._frozen(kind & 0xFF, last, clock_ms)
        digits = self._image.get(identifier)
        return digits(self.meter.reading(now_ms)) if digits else None

    @property
    def _image(self) -> Mapping[int, Digits]:
        return _SINGLE_PHASE if self.single_phase else _THREE_PHASE

    @staticmethod
    def _logged(records: Sequence[bytes], back: int) -> bytes | None:
        if back == 0:
            return bcd(len(records), 3, 0)
        return records[back - 1] if back <= len(records) else None

    def _frozen(self, what: int, back: int, clock_ms: int) -> bytes | None:
        if not 1 <= back <= FROZEN_DAYS:
            return None
        today = datetime.fromtimestamp(clock_ms / 1000, _BEIJING).replace(hour=0, minute=0, second=0, microsecond=0)
        at_ms = int((today - timedelta(days=back - 1)).timestamp() * 1000)
        if what == 0:
            return moment(at_ms, "%y%m%d%H%M")
        digits = self._image.get(what << 16 | 0xFF00) if what in _FROZEN else None
        return digits(self.meter.reading(at_ms - 1000 * self.ahead_s)) if digits else None


@dataclass(frozen=True, slots=True)
class Dlt645Endpoint:
    """The meters of one line, by address."""

    meters: Mapping[int, Dlt645Meter]
    wire: Wire

    def heard(self, octets: bytes, now_ms: int) -> Delivery | None:
        """What stood between two silences → what reaches the master; ``None`` if it was no frame."""
        frame = Dlt645Frame.parse(octets)
        return None if frame is None else self.answer(frame, now_ms)

    def addressed(self, octets: bytes) -> int:
        """Whom a frame is for that begins so."""
        frame = Dlt645Frame.parse(octets)
        return ANYBODY if frame is None else frame.unit

    def answer(self, frame: Dlt645Frame, now_ms: int) -> Delivery:
        """One whole request → what reaches the master; to a broadcast nobody answers."""
        units = [frame.unit]
        if frame.unit == ANYBODY:
            units = [unit for unit in self.meters if f"{unit:012d}".endswith(frame.ends)]
        spoken = [
            self.wire.deliver(_answered(frame.from_unit(unit), self.meters[unit], now_ms), now_ms)
            for unit in units
            if unit in self.meters and unit != _BROADCAST and not frame.pdu[0] & _FROM_METER
        ]
        return spoken[0] if len(spoken) == 1 else _collided(spoken)


def _collided(spoken: Sequence[Delivery]) -> Delivery:
    """What the master hears of several at once: a line is at zero as soon as one of them pulls it there."""
    octets = zip_longest(*(one.data for one in spoken), fillvalue=0xFF)
    data = bytes(reduce(and_, together) for together in octets)
    return Delivery(data, max((one.delay_s for one in spoken), default=0.0), any(one.close for one in spoken))


def _answered(frame: Dlt645Frame, meter: Dlt645Meter, now_ms: int) -> Dlt645Frame:
    function, asked = frame.pdu[0], frame.pdu[1:]
    if function == _ADDRESS:
        return frame.with_pdu(bytes((function | _FROM_METER,)) + bytes.fromhex(f"{frame.unit:012d}")[::-1])
    if function not in (_READ, _FOLLOW_ON):
        return frame.refused(_PASSWORD)
    part = asked[4] if function == _FOLLOW_ON else 0
    data = meter.data(int.from_bytes(asked[:4], "little"), now_ms)
    if data is None or part * _DATA_OCTETS > len(data):
        return frame.refused(_NO_DATA)
    more = _MORE if len(data) > (part + 1) * _DATA_OCTETS else 0
    body = asked[:4] + data[part * _DATA_OCTETS : (part + 1) * _DATA_OCTETS]
    number = bytes((part,)) if function == _FOLLOW_ON else b""
    return frame.with_pdu(bytes((function | _FROM_METER | more,)) + body + number)


def _registers(total: Callable[[Reading], float]) -> list[Digits]:
    """The whole and its four tariffs."""

    def register(share: float) -> Digits:
        return lambda reading: bcd(total(reading) * share, 4, 2)

    return [register(share) for share in (1.0, *TARIFF_SHARES)]


def _by_phase(of: Callable[[Reading], Three], octets: int, decimals: int) -> list[Digits]:
    def phase(n: int) -> Digits:
        return lambda reading: bcd(of(reading)[n], octets, decimals, signed=True)

    return [phase(n) for n in range(3)]


def _value(of: Callable[[Reading], float], octets: int, decimals: int, *, signed: bool = True) -> Digits:
    return lambda r: bcd(of(r), octets, decimals, signed=signed)


def _block(parts: Sequence[Digits]) -> Digits:
    return lambda r: b"".join(part(r) for part in parts)


def _series(di3_di2: int, first: int, parts: Sequence[Digits]) -> dict[int, Digits]:
    """The values of a series, and its block."""
    found = {di3_di2 << 16 | (first + n) << 8: part for n, part in enumerate(parts)}
    return found | {di3_di2 << 16 | 0xFF00: _block(parts)}


def _nothing(_: Reading) -> float:
    return 0.0


_FREQUENCY: Final = {0x02800002: _value(shown.frequency, 2, 2, signed=False)}
_THREE_PHASE: Final = {
    **_FREQUENCY,
    **_series(0x0001, 0, _registers(shown.import_kwh)),
    **_series(0x0002, 0, _registers(shown.export_kwh)),
    **_series(0x0005, 0, _registers(shown.import_kvarh)),
    **_series(0x0006, 0, _registers(_nothing)),
    **_series(0x0007, 0, _registers(shown.export_kvarh)),
    **_series(0x0008, 0, _registers(_nothing)),
    **_series(0x0201, 1, _by_phase(shown.voltage, 2, 1)),
    **_series(0x0202, 1, _by_phase(shown.current, 3, 3)),
    **_series(0x0203, 0, [_value(shown.total_active, 3, 4), *_by_phase(shown.active, 3, 4)]),
    **_series(0x0204, 0, [_value(shown.total_reactive, 3, 4), *_by_phase(shown.reactive, 3, 4)]),
    **_series(0x0205, 0, [_value(shown.total_apparent, 3, 4), *_by_phase(shown.apparent, 3, 4)]),
    **_series(0x0206, 0, [_value(shown.total_power_factor, 2, 3), *_by_phase(shown.power_factor, 2, 3)]),
}
_SINGLE_PHASE: Final = {
    **_FREQUENCY,
    **_series(0x0001, 0, _registers(lambda reading: reading.import_kwh[0])),
    **_series(0x0002, 0, _registers(lambda reading: reading.export_kwh[0])),
    0x02010100: _value(lambda reading: shown.voltage(reading)[0], 2, 1),
    0x02020100: _value(lambda reading: shown.current(reading)[0], 3, 3),
    0x02800001: _value(lambda reading: shown.current(reading)[0], 3, 3),
    0x02030000: _value(lambda reading: shown.active(reading)[0], 3, 4),
    0x02060000: _value(lambda reading: shown.power_factor(reading)[0], 2, 3),
}
