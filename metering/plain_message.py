"""Messages as JSON, for people: the fields of the envelope are keys beside those of the content."""

from __future__ import annotations

import msgspec

from metering.body_rules import meter_event
from metering.errors import DecodeError
from metering.message import Content, Envelope, Message, checked_envelope, epoch_number, epoch_text
from metering.meter_event import MeterEvents
from metering.round import Column, Gap, Origin, Round, pack, unpack


class _Column(msgspec.Struct):
    decimals: int
    values: tuple[int | None, ...]


class _Live(msgspec.Struct, tag_field="kind", tag="live"):
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
    columns: dict[str, _Column]


class _Backfill(_Live, tag_field="kind", tag="backfill"):
    pass


class _Gap(msgspec.Struct, tag_field="kind", tag="gap"):
    epoch: str
    seq: int
    held: int
    gateway: str
    first: int
    rows: int
    reason: str


class _MeterEvents(msgspec.Struct, tag_field="kind", tag="meter_events"):
    epoch: str
    seq: int
    held: int
    gateway: str
    meters: tuple[str, ...]
    at: tuple[int, ...]
    quality: tuple[int, ...]
    events: tuple[str, ...]
    missed: dict[str, int]


class _Envelope(msgspec.Struct):
    epoch: str
    seq: int
    held: int


_read = msgspec.json.Decoder(_Live | _Backfill | _Gap | _MeterEvents).decode
_read_envelope = msgspec.json.Decoder(_Envelope).decode


def encode_plain(message: Message) -> bytes:
    """One message as JSON, for people with ``mosquitto_sub``."""
    envelope, content = message.envelope, message.content
    head = (epoch_text(envelope.epoch), envelope.seq, envelope.held)
    if isinstance(content, Gap):
        return msgspec.json.encode(_Gap(*head, content.gateway, content.first, content.rows, content.reason))
    if isinstance(content, MeterEvents):
        at, quality = tuple(unpack(content.at, "q")), tuple(unpack(content.quality, "I"))
        return msgspec.json.encode(
            _MeterEvents(*head, content.gateway, content.meters, at, quality, content.events, content.missed)
        )
    kind = _Live if content.origin is Origin.LIVE else _Backfill
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
            {c.quantity: _Column(c.decimals, tuple(c.integers(rows))) for c in content.columns},
        )
    )


def plain_envelope(message: bytes) -> Envelope:
    """Where a message stands.

    Raises:
        DecodeError: a field of the envelope has no possible value.
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: it is no JSON, or a field is missing.
    """
    plain = _read_envelope(message)
    return checked_envelope(epoch_number(plain.epoch), plain.seq, plain.held)


def plain_content(message: bytes) -> Content:
    """The content of a message.

    Raises:
        DecodeError: the columns do not fit together, or an event is unknown.
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError: it is no JSON, or a field is wrong.
    """
    plain = _read(message)
    if isinstance(plain, _Gap):
        return Gap(plain.gateway, plain.first, plain.seq, plain.rows, plain.reason)
    if isinstance(plain, _MeterEvents):
        at, quality = pack(plain.at, "q"), pack(plain.quality, "I")
        events = tuple([meter_event(name) for name in plain.events])
        return MeterEvents(plain.gateway, plain.meters, at, quality, events, plain.missed)
    if any(len(column.values) != len(plain.meters) for column in plain.columns.values()):
        raise DecodeError("a column does not have one value a row")
    return Round(
        plain.gateway,
        plain.group,
        Origin.BACKFILL if isinstance(plain, _Backfill) else Origin.LIVE,
        plain.period_ms,
        plain.scheduled_at,
        plain.meters,
        pack(plain.measured_at, "q"),
        pack(plain.quality, "I"),
        tuple(Column.of_integers(name, c.decimals, c.values) for name, c in plain.columns.items()),
    )
