"""Messages ↔ bytes. WIRE.md is the contract; ``packed_body``, ``plain_message`` and ``body_rules`` have the parts.

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
from typing import Final

import msgspec
import zstandard

from metering.body_rules import check
from metering.errors import DecodeError
from metering.message import Envelope, Message, checked_envelope
from metering.packed_body import decode_packed_body
from metering.plain_message import plain_content, plain_envelope

PACKED: Final = 0x01
PLAIN: Final = ord("{")

MAX_MESSAGE_BYTES: Final = 1024 * 1024

_ENVELOPE: Final = struct.Struct("<BQQI")


def encode_packed(envelope: Envelope, body: bytes) -> bytes:
    """Envelope and compressed body → one packed message."""
    return _ENVELOPE.pack(PACKED, envelope.epoch, envelope.seq, envelope.held) + body


def read_envelope(message: bytes) -> Envelope:
    """Read where a message stands, whatever its body holds.

    Raises:
        DecodeError: the message is of an unknown format or without a usable envelope, or plain and too large.
    """
    if message[:1] == bytes([PACKED]):
        if len(message) <= _ENVELOPE.size:
            raise DecodeError("the message ends inside its envelope")
        _, epoch, seq, held = _ENVELOPE.unpack_from(message)
        return checked_envelope(epoch, seq, held)
    if message[:1] == bytes([PLAIN]):
        _check_size(message)
        try:
            return plain_envelope(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(str(error)) from error
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
        if message[0] == PACKED:
            content = decode_packed_body(memoryview(message)[_ENVELOPE.size :], envelope.seq)
        else:
            content = plain_content(message)
    except (msgspec.MsgspecError, zstandard.ZstdError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(str(error)) from error
    except (ValueError, OverflowError) as error:  # from packing integers that do not fit
        raise DecodeError(str(error)) from error
    check(content, envelope.oldest)
    return Message(envelope, content)


def _check_size(message: bytes) -> None:
    if len(message) > MAX_MESSAGE_BYTES:
        raise DecodeError(f"a message of {len(message)} bytes; the limit is {MAX_MESSAGE_BYTES}")
