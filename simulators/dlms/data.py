"""COSEM data as a meter sends them: a pair of the type's name in the Blue Book and the value.

("double-long-unsigned", 999)      ("structure", [("integer", -1), ("enum", 30)])
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

Data = tuple[str, Any]

NOTHING: Final[Data] = ("null-data", None)

_PACKED: Final = {
    "boolean": (3, ">?"),
    "double-long": (5, ">i"),
    "double-long-unsigned": (6, ">I"),
    "integer": (15, ">b"),
    "long": (16, ">h"),
    "unsigned": (17, ">B"),
    "long-unsigned": (18, ">H"),
    "long64": (20, ">q"),
    "long64-unsigned": (21, ">Q"),
    "enum": (22, ">B"),
    "float32": (23, ">f"),
    "float64": (24, ">d"),
}
_STRINGS: Final = {"octet-string": 9, "visible-string": 10, "utf8-string": 12}
_SEQUENCES: Final = {"array": 1, "structure": 2}
_PACKED_BY_TAG: Final = {tag: (name, form) for name, (tag, form) in _PACKED.items()}
_STRINGS_BY_TAG: Final = {tag: name for name, tag in _STRINGS.items()}
_SEQUENCES_BY_TAG: Final = {tag: name for name, tag in _SEQUENCES.items()}


class BadRequest(Exception):  # noqa: N818
    """The client sent something that is no request."""


def to_bytes(data: Data) -> bytes:
    """Encode one value."""
    kind, value = data
    if kind == "null-data":
        return b"\x00"
    if kind in _PACKED:
        tag, form = _PACKED[kind]
        return struct.pack(">B" + form[1:], tag, value)
    if kind in _STRINGS:
        text = value.encode() if isinstance(value, str) else value
        return bytes([_STRINGS[kind]]) + length(len(text)) + text
    return bytes([_SEQUENCES[kind]]) + length(len(value)) + b"".join(map(to_bytes, value))


def length(number: int) -> bytes:
    """A length: one octet below 128, else 81h, 82h … and the octets."""
    if number <= 0x7F:  # noqa: PLR2004
        return bytes([number])
    for size in (1, 2, 4):
        if number < 256**size:
            return bytes([0x80 | size]) + number.to_bytes(size, "big")
    raise ValueError(number)


def read(stream: BytesIO) -> Data:
    """Decode the next value of a stream."""
    tag = read_octets(stream, 1)[0]
    if tag == 0:
        return NOTHING
    if tag in _PACKED_BY_TAG:
        kind, form = _PACKED_BY_TAG[tag]
        return kind, struct.unpack(form, read_octets(stream, struct.calcsize(form)))[0]
    if tag in _STRINGS_BY_TAG:
        return _STRINGS_BY_TAG[tag], read_octets(stream, read_length(stream))
    if tag in _SEQUENCES_BY_TAG:
        return _SEQUENCES_BY_TAG[tag], [read(stream) for _ in range(read_length(stream))]
    raise BadRequest(f"data tag {tag}")


def read_length(stream: BytesIO) -> int:
    """Decode a length."""
    first = read_octets(stream, 1)[0]
    return first if first <= 0x7F else int.from_bytes(read_octets(stream, first & 0x7F), "big")  # noqa: PLR2004


def read_octets(stream: BytesIO, size: int) -> bytes:
    """So many octets, no fewer."""
    found = stream.read(size)
    if len(found) != size:
        raise BadRequest("the request is too short")
    return found


def structure(*elements: Data) -> Data:
    """A structure."""
    return "structure", list(elements)


def array(elements: Sequence[Data]) -> Data:
    """An array."""
    return "array", list(elements)


def logical_name(obis: str) -> bytes:
    """``1-0:1.8.0`` or ``1-0:1.8.0*255`` → six octets."""
    groups = [int(group) for group in obis.replace("-", ".").replace(":", ".").replace("*", ".").split(".")]
    return bytes(groups if len(groups) == 6 else [*groups, 255])  # noqa: PLR2004
