"""Bodies of packed messages: zstd(msgpack(body)), integers in byte planes. The spool keeps them as they are sent.

The size of a body is known and bounded before it is decompressed.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Final

import msgspec
import zstandard

from metering.body_rules import meter_event
from metering.errors import DecodeError
from metering.message import Content
from metering.meter_event import MeterEvents
from metering.round import Column, Gap, Origin, Round

MAX_BODY_BYTES: Final = 8 * 1024 * 1024

_ZSTD_LEVEL: Final = 3
_REMEMBERED_BYTES: Final = 32 * 1024  # longer lists of names are not worth a place in memory


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


_pack_body = msgspec.msgpack.Encoder().encode
_unpack_body = msgspec.msgpack.Decoder(_Live | _Backfill | _Gap | _MeterEvents).decode
_read_meters = msgspec.msgpack.Decoder(tuple[str, ...]).decode


class _Zstd(threading.local):
    """What compresses and decompresses. Rounds of two groups are kept by two threads, and one context mixes them up."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_zstd = _Zstd()


def encode_body(content: Content) -> bytes:
    """The compressed body of a packed message: what the spool keeps."""
    return _zstd.compress(_pack_body(_body(content)))


def decode_packed_body(compressed: memoryview, seq: int) -> Content:
    """The content of a body; ``seq`` stands in the envelope before it.

    Raises:
        DecodeError: it does not say its size, is too large, or names an unknown event.
        msgspec.MsgspecError, zstandard.ZstdError, ValueError: it is damaged.
    """
    size = zstandard.frame_content_size(compressed)
    if not 0 <= size <= MAX_BODY_BYTES:
        raise DecodeError(f"a body of {size} bytes; it must say its size and stay below {MAX_BODY_BYTES}")
    body = _unpack_body(_zstd.decompress(compressed, max_output_size=MAX_BODY_BYTES, allow_extra_data=False))
    if isinstance(body, _Gap):
        return Gap(body.gateway, body.first, seq, body.rows, body.reason)
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


@lru_cache(maxsize=1024)
def _meters(packed: bytes) -> tuple[str, ...]:
    """Gateways send the same names for months: read them once, and give the same tuple each time."""
    return _read_meters(packed)
