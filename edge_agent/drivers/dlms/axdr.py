"""A-XDR (IEC 61334-6): the encoding of COSEM data, both ways, that cannot hang, blow up or guess.

Limits, so that no answer of a meter or of somebody in its place costs more than its own length:

    nesting             at most ``MAX_DEPTH`` arrays and structures inside each other
    number of elements  at most the octets that are left, because every element takes one at least
    length of a string  at most the octets that are left
    length field        at most four octets after the first
    end                 no octet may follow the value

A tag that is not known is refused, and so are compact-array (19), the delta types (28 to 33) and don't-care (255):
an array without its types or a difference without its base would be a guess. Every refusal is one ``Malformed``.

Decoded values are plain: ``None``, ``bool``, ``int``, ``float``, ``str``, ``bytes``, ``BitString`` and lists. Arrays
and structures both become lists; octet strings and the date and time tags (25 to 27) become ``bytes``.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct, error
from typing import Final, NamedTuple, TypeAlias

from edge_agent.drivers.dlms.errors import Malformed

MAX_DEPTH: Final = 8
_MAX_LENGTH_OCTETS: Final = 4
_LONG_FORM: Final = 0x80


class Tag(IntEnum):
    """Data types of COSEM (DLMS UA Blue Book, "Common data types")."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    INT32 = 5
    UINT32 = 6
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INT8 = 15
    INT16 = 16
    UINT8 = 17
    UINT16 = 18
    INT64 = 20
    UINT64 = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27


class BitString(NamedTuple):
    """Bits, most significant first; the last octet is padded."""

    length: int  # bits
    octets: bytes


Value: TypeAlias = "bool | int | float | str | bytes | BitString | list[Value] | None"


class Data(NamedTuple):
    """A value together with its type, for what is sent."""

    tag: Tag
    value: bool | int | float | str | bytes | BitString | tuple[Data, ...] | None = None


_NUMBERS: Final[dict[int, Struct]] = {
    Tag.BOOLEAN: Struct(">?"),
    Tag.INT32: Struct(">i"),
    Tag.UINT32: Struct(">I"),
    Tag.INT8: Struct(">b"),
    Tag.INT16: Struct(">h"),
    Tag.UINT8: Struct(">B"),
    Tag.UINT16: Struct(">H"),
    Tag.INT64: Struct(">q"),
    Tag.UINT64: Struct(">Q"),
    Tag.ENUM: Struct(">B"),
    Tag.FLOAT32: Struct(">f"),
    Tag.FLOAT64: Struct(">d"),
}
_FIXED: Final[dict[int, int]] = {Tag.BCD: 1, Tag.DATE_TIME: 12, Tag.DATE: 5, Tag.TIME: 4}  # octets
_ELEMENTS: Final[frozenset[int]] = frozenset((Tag.ARRAY, Tag.STRUCTURE))
_TEXTS: Final[frozenset[int]] = frozenset((Tag.VISIBLE_STRING, Tag.UTF8_STRING))
_OCTET_STRING: Final = int(Tag.OCTET_STRING)  # looked up once: a profile has thousands
_COUNTED: Final[frozenset[int]] = frozenset((Tag.BIT_STRING, Tag.OCTET_STRING, Tag.VISIBLE_STRING, Tag.UTF8_STRING))


def decode(octets: bytes) -> Value:
    r"""Octets that hold exactly one value → the value.

    Raises:
        Malformed: they do not.

    >>> decode(bytes.fromhex("020206000003e7090107"))
    [999, b'\x07']
    """
    value, end = decode_at(octets, 0)
    if end != len(octets):
        raise Malformed(f"{len(octets) - end} octets after the value")
    return value


def decode_at(octets: bytes, start: int) -> tuple[Value, int]:
    """The value that begins at ``start``, and where it ends.

    Raises:
        Malformed: there is no whole, known value.
    """
    try:
        return _decode(octets, start, MAX_DEPTH)
    except (IndexError, error):
        raise Malformed("cut short") from None


def length_at(octets: bytes, start: int) -> tuple[int, int]:
    """A length or count field, and where it ends; the same in A-XDR and in BER.

    Raises:
        Malformed: the field is cut short, indefinite or longer than four octets.
    """
    if start >= len(octets):
        raise Malformed("cut short")
    first = octets[start]
    start += 1
    if first < _LONG_FORM:
        return first, start
    size = first - _LONG_FORM
    if not 0 < size <= _MAX_LENGTH_OCTETS:
        raise Malformed("a length field of no or too many octets")
    return int.from_bytes(_take(octets, start, size), "big"), start + size


def encode_length(length: int) -> bytes:
    """The shortest length field.

    >>> encode_length(127).hex(), encode_length(128).hex(), encode_length(300).hex()
    ('7f', '8180', '82012c')
    """
    if length < _LONG_FORM:
        return bytes((length,))
    size = (length.bit_length() + 7) // 8
    return bytes((_LONG_FORM + size,)) + length.to_bytes(size, "big")


def encode(data: Data) -> bytes:
    """A typed value → its octets.

    Raises:
        ValueError: the value does not fit its type, or is nested too deep.
    """
    try:
        return _encode(data, MAX_DEPTH)
    except (error, TypeError, AttributeError):
        raise ValueError(f"{data.value!r} is no {data.tag.name}") from None


def _decode(octets: bytes, at: int, depth: int) -> tuple[Value, int]:
    tag = octets[at]
    at += 1
    number = _NUMBERS.get(tag)
    if number is not None:
        return number.unpack_from(octets, at)[0], at + number.size
    if tag in _ELEMENTS:
        return _decode_elements(octets, at, depth)
    if not tag:
        return None, at
    return _decode_octets(tag, octets, at)


def _decode_elements(octets: bytes, at: int, depth: int) -> tuple[list[Value], int]:
    if not depth:
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    count, at = length_at(octets, at)
    if count > len(octets) - at:
        raise Malformed(f"{count} elements in {len(octets) - at} octets")
    elements: list[Value] = []
    for _ in range(count):
        element, at = _decode(octets, at, depth - 1)
        elements.append(element)
    return elements, at


def _decode_octets(tag: int, octets: bytes, at: int) -> tuple[Value, int]:
    """Everything whose meaning is a run of octets."""
    if tag in _FIXED:
        size = length = _FIXED[tag]
    elif tag in _COUNTED:
        length, at = length_at(octets, at)
        size = (length + 7) // 8 if tag == Tag.BIT_STRING else length
    else:
        raise Malformed(f"data type {tag} is not known")
    found = _take(octets, at, size)
    if tag == _OCTET_STRING:
        return found, at + size
    value: Value = found
    if tag in _TEXTS:
        value = _text(found)
    elif tag == Tag.BIT_STRING:
        value = BitString(length, found)
    elif tag == Tag.BCD:
        value = _decimal_digits(found[0])
    return value, at + size


def _take(octets: bytes, at: int, size: int) -> bytes:
    if size > len(octets) - at:
        raise Malformed("cut short")
    return bytes(octets[at : at + size])


def _text(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None


def _decimal_digits(octet: int) -> int:
    tens, ones = divmod(octet, 16)
    if tens > 9 or ones > 9:  # noqa: PLR2004 - decimal digits
        raise Malformed(f"{octet:#04x} is not two decimal digits")
    return 10 * tens + ones


def _encode(data: Data, depth: int) -> bytes:
    tag, value = data
    if tag in _NUMBERS:
        content = _NUMBERS[tag].pack(value)
    elif isinstance(value, tuple) and tag in (Tag.ARRAY, Tag.STRUCTURE) and not isinstance(value, BitString):
        if not depth:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        content = encode_length(len(value)) + b"".join(_encode(element, depth - 1) for element in value)
    else:
        content = _encode_octets(tag, value)
    return bytes((tag,)) + content


def _encode_octets(tag: Tag, value: object) -> bytes:
    match tag, value:
        case Tag.NULL, None:
            return b""
        case Tag.BIT_STRING, BitString(length, octets) if len(octets) == (length + 7) // 8:
            return encode_length(length) + octets
        case Tag.BCD, int() if 0 <= value <= 99:  # noqa: PLR2004 - two digits
            return bytes((value // 10 * 16 + value % 10,))
        case Tag.VISIBLE_STRING | Tag.UTF8_STRING, str():
            text = value.encode()
            return encode_length(len(text)) + text
        case Tag.OCTET_STRING, bytes():
            return encode_length(len(value)) + value
        case Tag.DATE_TIME | Tag.DATE | Tag.TIME, bytes() if len(value) == _FIXED[tag]:
            return value
    raise TypeError(tag)
