"""What settings are made of: the base of them all, and the kinds of value that stand in YAML.

A room declares the settings it takes as a ``Settings`` class beside its code; a program's ``config.py`` only
puts them together. Secrets never stand in a YAML file: a setting names the file that holds one.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from metering.topics import IDENTIFIER


class Settings(BaseModel):
    """Frozen, and no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _SECONDS[match[2]]
    raise PydanticCustomError("duration", "not a length of time")


def _duration_text(seconds: float) -> str:
    for unit in ("d", "h", "min", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds * 1000:g}ms"


Duration = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=str),
    PlainSerializer(_duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*{_DURATION.pattern}\s*$", "examples": ["15s", "5min"]}),
]
"""A length of time in seconds, written with its unit: ``500ms``, ``15s``, ``5min``, ``24h``."""


def _identifier(value: object) -> object:
    if isinstance(value, str) and IDENTIFIER.fullmatch(value):
        return value
    raise PydanticCustomError("identifier", "not an identifier")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a folder of zones, such as "Asia", is an OSError
        raise PydanticCustomError("time_zone", "not a time zone") from None
    return name


TimeZone = Annotated[str, AfterValidator(_zone)]
"""A name of the IANA time zone database, such as ``Asia/Shanghai``."""

Identifier = Annotated[
    str,
    BeforeValidator(_identifier, json_schema_input_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{IDENTIFIER.pattern}$"}),
]
"""The name of a gateway, meter, bus, site …: letters, digits, ``_ . -``."""

_RATIO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*[/:]\s*(\d+(?:\.\d+)?)")


def _ratio(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (match := _RATIO.fullmatch(value.strip())) and float(match[2]):
        return float(match[1]) / float(match[2])
    raise PydanticCustomError("ratio", "not a ratio")


Ratio = Annotated[
    float,
    BeforeValidator(_ratio, json_schema_input_type=float | str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": rf"^\s*{_RATIO.pattern}\s*$"},
            ]
        }
    ),
]
"""A transformer's ratio, as its plate says it: ``40``, ``200/5``, ``200:5``."""
