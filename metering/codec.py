"""Rounds, gaps and meter events ↔ bytes. WIRE.md is the contract; this file and ``body_rules`` implement it.

A message is a 21-byte envelope and a body. The first byte says which format follows:

    0x01  packed: envelope, then zstd(msgpack(body)), integers in byte planes
    0x7B  plain JSON, for people: ``{`` is the format byte, the envelope's fields are keys

The envelope (format, epoch, seq, held) stands outside the compressed body, so that a message with a broken
body can still be acknowledged, and a duplicate be dropped without being decompressed.

Nothing a peer sends may cost more than a bounded time and memory: the size of a message, of its decompressed
body, of its table and of every identifier is checked before it is used.
"""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import msgspec
import zstandard

from metering.body_rules import check_gap, check_meter_events, check_round, meter_event
from metering.errors import DecodeError
from metering.meter_event import MeterEvents
from metering.round import Column, Gap, Origin, Round, pack, unpack

Content = Round | Gap | MeterEvents
"""What a message can hold."""

PACKED: Final = 0x01
PLAIN: Final = ord("{")

MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_BODY_BYTES: Final = 8 * 1024 * 1024

_ENVELOPE: Final = struct.Struct("<BQQI")
_ZSTD_LEVEL: Final = 3
_REMEMBERED_BYTES: Final = 32 * 1024  # longer lists of names are not worth a place in memory


@dataclass(frozen=True, slots=True)
class Envelope:
    """Where a message stands in the sequence of its gateway."""

    epoch: int  # random 64-bit number of the spool file
    seq: int  # 1, 2, 3 …; for a gap its last number
    held: int  # how many numbers before ``seq`` the spool still holds: seq - held is its oldest

    @property
    def oldest(self) -> int:
        """The oldest sequence number the spool still held when it sent this message."""
        return self.seq - self.held


@dataclass(frozen=True, slots=True)
class Message:
    """One decoded message."""

    envelope: Envelope
    content: Content


def epoch_text(epoch: int) -> str:
    """The epoch as people and JSON see it: sixteen hex digits."""
    return f"{epoch:016x}"


class _Live(msgspec.Struct, tag_field="kind", tag="live"):
    gateway: str
    group: str
    period_ms: int
    scheduled_at: int
    meters: msgspec.Raw
    measured_at: bytes
    quality: bytes
    columns: tuple[tuple[str, int, bytes], ...]


class _Backfill(_Live, tag_field="kind", tag="backfill"):
    pass


class _Gap(msgspec.Struct, tag_field="kind", tag="gap"):
    gateway: str
    first: int
    rows: int
    reason: str


class _MeterEvents(msgspec.Struct, tag_field="kind", tag="meter_events"):
    gateway: str
    meters: tuple[str, ...]
    at: bytes
    quality: bytes
    events: tuple[str, ...]
    missed: dict[str, int]


class _PlainColumn(msgspec.Struct):
    decimals: int
    values: tuple[int | None, ...]


class _PlainLive(msgspec.Struct, tag_field="kind", tag="live"):
    epoch: str
    seq: int
    held: int
    gateway: str
    group: str
    period_ms: int
    scheduled_at: int
    meters: tuple[str, ...]
    measured_at: tuple[int, ...]
    quality: tuple[int, ...]
    columns: dict[str, _PlainColumn]


class _PlainBackfill(_PlainLive, tag_field="kind", tag="backfill"):
    pass


class _PlainGap(msgspec.Struct, tag_field="kind", tag="gap"):
    epoch: str
    seq: int
    held: int
    gateway: str
    first: int
    rows: int
    reason: str


class _PlainMeterEvents(msgspec.Struct, tag_field="kind", tag="meter_events"):
    epoch: str
    seq: int
    held: int
    gateway: str
    meters: tuple[str, ...]
    at: tuple[int, ...]
    quality: tuple[int, ...]
    events: tuple[str, ...]
    missed: dict[str, int]


class _PlainEnvelope(msgspec.Struct):
    epoch: str
    seq: int
    held: int


_pack_body = msgspec.msgpack.Encoder().encode
_unpack_body = msgspec.msgpack.Decoder(_Live | _Backfill | _Gap | _MeterEvents).decode
_read_meters = msgspec.msgpack.Decoder(tuple[str, ...]).decode
_read_plain = msgspec.json.Decoder(_PlainLive | _PlainBackfill | _PlainGap | _PlainMeterEvents).decode
_read_plain_envelope = msgspec.json.Decoder(_PlainEnvelope).decode


class _Zstd(threading.local):
    """What compresses and decompresses. Rounds of two groups are kept by two threads, and one context mixes them up."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()


def encode_body(content: Content) -> bytes:
    """The compressed body of a packed message: what the spool keeps."""
    return _zstd.compress(_pack_body(_body(content)))


def encode_packed(envelope: Envelope, body: bytes) -> bytes:
    """Envelope and compressed body → one packed message."""
    return _ENVELOPE.pack(PACKED, envelope.epoch, envelope.seq, envelope.held) + body


def encode_plain(message: Message) -> bytes:
    """One message as JSON, for people with ``mosquitto_sub``."""
    envelope, content = message.envelope, message.content
    head = (epoch_text(envelope.epoch), envelope.seq, envelope.held)
    if isinstance(content, Gap):
        return msgspec.json.encode(_PlainGap(*head, content.gateway, content.first, content.rows, content.reason))
    if isinstance(content, MeterEvents):
        at, quality = tuple(unpack(content.at, "q")), tuple(unpack(content.quality, "I"))
        return msgspec.json.encode(
            _PlainMeterEvents(*head, content.gateway, content.meters, at, quality, content.events, content.missed)
        )
    kind = _PlainLive if content.origin is Origin.LIVE else _PlainBackfill
    rows = content.rows
    return msgspec.json.encode(
        kind(
            *head,
            content.gateway,
            content.group,
            content.period_ms,
            content.scheduled_at,
            content.meters,
            tuple(unpack(content.measured_at, "q")),
            tuple(unpack(content.quality, "I")),
            {c.quantity: _PlainColumn(c.decimals, tuple(c.integers(rows))) for c in content.columns},
        )
    )


def read_envelope(message: bytes) -> Envelope:
    """Read where a message stands, whatever its body holds.

    Raises:
        DecodeError: the message is of an unknown format or without a usable envelope, or plain and too large.
    """
    if message[:1] == bytes([PACKED]):
        if len(message) <= _ENVELOPE.size:
            raise DecodeError("the message ends inside its envelope")
        _, epoch, seq, held = _ENVELOPE.unpack_from(message)
        return _checked_envelope(epoch, seq, held)
    if message[:1] == bytes([PLAIN]):
        _check_size(message)
        try:
            plain = _read_plain_envelope(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(str(error)) from error
        return _checked_envelope(_epoch_number(plain.epoch), plain.seq, plain.held)
    raise DecodeError(f"unknown format byte 0x{message[0]:02x}" if message else "an empty message")


def decode(message: bytes) -> Message:
    """One message → envelope and content, every rule of WIRE.md checked.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    return decode_body(read_envelope(message), message)


def decode_body(envelope: Envelope, message: bytes) -> Message:
    """The rest of ``decode``, for a caller that has read the envelope already.

    Raises:
        DecodeError: a rule is broken; the text says which.
    """
    _check_size(message)
    try:
        content = _packed_content(envelope, message) if message[0] == PACKED else _plain_content(message)
    except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error)) from error
    except (ValueError, OverflowError) as error:  # from packing integers that do not fit
        raise DecodeError(str(error)) from error
    if isinstance(content, Gap):
        check_gap(content, envelope.oldest)
    elif isinstance(content, MeterEvents):
        check_meter_events(content)
    else:
        check_round(content)
    return Message(envelope, content)


def _body(content: Content) -> _Live | _Gap | _MeterEvents:
    if isinstance(content, Gap):
        return _Gap(content.gateway, content.first, content.rows, content.reason)
    if isinstance(content, MeterEvents):
        return _MeterEvents(
            content.gateway, content.meters, content.at, content.quality, content.events, content.missed
        )
    kind = _Live if content.origin is Origin.LIVE else _Backfill
    return kind(
        content.gateway,
        content.group,
        content.period_ms,
        content.scheduled_at,
        msgspec.Raw(_pack_body(content.meters)),
        content.measured_at,
        content.quality,
        tuple((c.quantity, c.decimals, c.data) for c in content.columns),
    )


def _packed_content(envelope: Envelope, message: bytes) -> Content:
    compressed = memoryview(message)[_ENVELOPE.size :]
    size = zstandard.frame_content_size(compressed)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise DecodeError(f"a body of {size} bytes; it must say its size and stay below {MAX_BODY_BYTES}")
    body = _unpack_body(_zstd.decompress(compressed, max_output_size=MAX_BODY_BYTES, allow_extra_data=False))
    if isinstance(body, _Gap):
        return Gap(body.gateway, body.first, envelope.seq, body.rows, body.reason)
    if isinstance(body, _MeterEvents):
        events = tuple([meter_event(name) for name in body.events])
        return MeterEvents(body.gateway, body.meters, body.at, body.quality, events, body.missed)
    meters = bytes(body.meters)
    names = _meters(meters) if len(meters) <= _REMEMBERED_BYTES else _read_meters(meters)
    return Round(
        body.gateway,
        body.group,
        Origin.BACKFILL if isinstance(body, _Backfill) else Origin.LIVE,
        body.period_ms,
        body.scheduled_at,
        names,
        body.measured_at,
        body.quality,
        tuple([Column(*column) for column in body.columns]),
    )


@lru_cache(maxsize=1024)
def _meters(packed: bytes) -> tuple[str, ...]:
    """Gateways send the same names for months: read them once, and give the same tuple each time."""
    return _read_meters(packed)


def _plain_content(message: bytes) -> Content:
    plain = _read_plain(message)
    if isinstance(plain, _PlainGap):
        return Gap(plain.gateway, plain.first, plain.seq, plain.rows, plain.reason)
    if isinstance(plain, _PlainMeterEvents):
        at, quality = pack(plain.at, "q"), pack(plain.quality, "I")
        events = tuple([meter_event(name) for name in plain.events])
        return MeterEvents(plain.gateway, plain.meters, at, quality, events, plain.missed)
    if any(len(column.values) != len(plain.meters) for column in plain.columns.values()):
        raise DecodeError("a column does not have one value a row")
    return Round(
        plain.gateway,
        plain.group,
        Origin.BACKFILL if isinstance(plain, _PlainBackfill) else Origin.LIVE,
        plain.period_ms,
        plain.scheduled_at,
        plain.meters,
        pack(plain.measured_at, "q"),
        pack(plain.quality, "I"),
        tuple(Column.of_integers(name, c.decimals, c.values) for name, c in plain.columns.items()),
    )


def _check_size(message: bytes) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"a message of {len(message)} bytes; the limit is {MAX_MESSAGE_BYTES}")


def _epoch_number(text: str) -> int:
    if len(text) != 16 or not all(c in "0123456789abcdef" for c in text):  # noqa: PLR2004
        raise DecodeError(f"epoch {text[:40]!r} is not sixteen hex digits")
    return int(text, 16)


def _checked_envelope(epoch: int, seq: int, held: int) -> Envelope:
    if not (0 < seq < 2**63 and 0 <= held < min(seq, 2**32)):
        raise DecodeError(f"seq {seq} with {held} held before it: numbers start at 1")
    return Envelope(epoch, seq, held)
