"""YAML → frozen settings, or every mistake of the file at once.

A person sees each mistake as ``file:line:column path: what is wrong → what to write``, in file order and in
their language. ``marked_yaml`` keeps the place of every key and value; pydantic says what is wrong;
``settings_errors`` maps the one onto the other. What is right of a file that has mistakes is checked across keys all
the same, so that one run shows both kinds.

A room declares the settings it takes as a ``Settings`` class beside its code; a program's ``config.py`` only
puts them together. Secrets never stand in a YAML file: a setting names the file that holds one.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from metering.errors import StopAndFix
from metering.marked_yaml import MarkedTree, NotYaml, Parsed, Place, Problem, dotted, parse, parse_mended, told
from metering.settings_errors import explain, field_names, without_echoes
from metering.settings_words import WORDS, Language
from metering.topics import IDENTIFIER
from metering.valid_part import ValidPart, valid_part
from metering.yaml_slips import mend

__all__ = [
    "ConfigError",
    "Duration",
    "Identifier",
    "Language",
    "Loaded",
    "MarkedTree",
    "MqttSettings",
    "Place",
    "Problem",
    "Ratio",
    "Settings",
    "dotted",
    "language",
    "load_file",
    "load_text",
    "read_secret",
    "read_secrets",
]

Model = TypeVar("Model", bound=BaseModel)

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


def language(wanted: str | None = None) -> Language:
    """The language asked for, or that of the environment (``LC_ALL``, ``LC_MESSAGES``, ``LANG``)."""
    said = wanted or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "en"
    return "zh" if said.lower().startswith("zh") else "en"


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


class ConfigError(StopAndFix):
    """Every problem of one file, in file order."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        """Sort and render the problems; what is said twice is said once."""
        self.name = name
        self.problems = sorted(set(problems))
        super().__init__("\n".join(f"{name}:{problem}" for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Loaded(typing.Generic[Model]):
    """The settings, and the places to report mistakes that only a second look finds.

    Of a file with mistakes ``value`` is what is right of it: entries of lists that are wrong are left out (places are
    still those of the file), what is wrong and has a default has that, and what has none is ``None`` or empty.
    """

    name: str
    value: Model
    tree: MarkedTree
    cut: frozenset[Place] = frozenset()  # what was left out
    kept: dict[Place, list[int]] = field(default_factory=dict)  # which entries of a list are left

    def problem(self, path: Place, text: str) -> Problem:
        """A mistake at ``path`` in ``value``: at the value if there is one, else at the nearest parent."""
        place = self.in_file(path)
        return Problem.at(self.tree.nearest(place), place, text)

    def in_file(self, path: Place) -> Place:
        """The place in the file of a place in ``value``."""
        real: Place = ()
        for part in path:
            left = self.kept.get(real)
            real = (*real, left[part] if left is not None and isinstance(part, int) and part < len(left) else part)
        return real

    def whole(self, key: str) -> bool:
        """Whether nothing was left out under this key of the file: only then is something missing from it."""
        return not any(place[0] == key for place in self.cut)

    def named(self, key: str) -> set[str]:
        """Every id that stands in this list of the file, in a right entry or a wrong one."""
        places = (place for place in self.tree.values if len(place) == 3 and place[0] == key)  # noqa: PLR2004
        return {self.tree.text_at(place) for place in places if place[2] == "id"}


Check = Callable[[Loaded[Model]], list[Problem]]


def load_file(path: Path, model: type[Model], lang: Language = "en", check: Check[Model] | None = None) -> Model:
    """Read and validate one YAML file.

    Args:
        path: the file; its name stands in front of every message as it was given.
        model: what the file must hold.
        lang: language of the messages.
        check: finds mistakes across keys (an id used twice, a reference to nothing); see ``Loaded``.

    Raises:
        ConfigError: the file is missing, unreadable or wrong; every problem is in it.
    """
    words = WORDS[lang]
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(str(path), [Problem(1, 1, "", words["too large"])])
        octets = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(str(path), [Problem(1, 1, "", words["no file"])]) from None
    except OSError as error:
        raise ConfigError(str(path), [Problem(1, 1, "", f"{words['unreadable']}: {error.strerror}")]) from None
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = octets[: error.start].count(b"\n") + 1
        column = error.start - octets[: error.start].rfind(b"\n")
        text = words["not utf-8"].format(_encoding(octets))
        raise ConfigError(str(path), [Problem(line, column, "", text)]) from None
    return load_text(text.replace("\r\n", "\n"), str(path), model, lang, check)


def _encoding(octets: bytes) -> str:
    """What a file that is not UTF-8 was probably saved as."""
    return "UTF-16" if octets[:2] in (b"\xff\xfe", b"\xfe\xff") else "GBK / ANSI"


def load_text(
    text: str, name: str, model: type[Model], lang: Language = "en", check: Check[Model] | None = None
) -> Model:
    """Validate YAML text; see ``load_file``.

    Raises:
        ConfigError: every problem of the text.
    """
    problems: list[Problem] = []
    try:
        parsed = parse(text, lang)
    except NotYaml as error:
        problems = [error.problem]
    else:
        value, problems = _validated(parsed, name, model, check)
        if value is not None and not problems:
            return value
        if parsed.data == {}:
            raise ConfigError(name, [Problem(1, 1, "", WORDS[lang]["empty"])])
    raise ConfigError(name, _mended(text, name, model, lang, check) or problems)


def _mended(
    text: str, name: str, model: type[Model], lang: Language, check: Check[Model] | None
) -> list[Problem] | None:
    """The slips of the keyboard and what is wrong besides; ``None`` if there is no slip."""
    slips = mend(text, field_names(model))
    if not slips.slips:
        return None
    try:
        parsed = parse_mended(slips, lang)
    except NotYaml as error:  # of tabs nobody knows how they were meant
        tabs = any(slip.kind == "tab" for slip in slips.slips)
        return [*(told(slip, lang) for slip in slips.slips), *([] if tabs else [error.problem])]
    return parsed.in_file(_validated(parsed, name, model, check)[1])


def _validated(
    parsed: Parsed, name: str, model: type[Model], check: Check[Model] | None
) -> tuple[Model | None, list[Problem]]:
    """The settings if they are right, and every problem: of single keys, and across those that are right."""
    tree = parsed.tree
    problems = list(tree.problems)
    value: Model | None = None
    try:
        value = model.model_validate(parsed.data)
        usable = ValidPart(value)
    except ValidationError as error:
        found = without_echoes(error.errors(include_url=False), tree)
        problems += [explain(one, tree, model) for one in found]
        usable = valid_part(model, parsed.data, tree)
    if check is not None and usable.value is not None:
        problems += check(Loaded(name, usable.value, tree, usable.cut, usable.kept))
    return value, problems


def read_secret(path: Path) -> str:
    """The first line of a file that only its owner may read.

    Raises:
        StopAndFix: the file is missing, empty, or open to other users.
    """
    return read_secrets(path)[0]


def read_secrets(path: Path) -> list[str]:
    """All lines of a file that only its owner may read.

    Raises:
        StopAndFix: the file is missing, empty, or open to other users.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise StopAndFix(f"{path}: cannot read the secret: {error.strerror}") from None
    if mode & 0o077:
        raise StopAndFix(f"{path}: other users may read this secret → chmod 600 {path}")
    if not text:
        raise StopAndFix(f"{path}: the secret is empty")
    return text.splitlines()


class MqttSettings(Settings):
    """Where the broker is and how to speak to it; the same keys on the edge and at the centre."""

    host: str = Field("127.0.0.1", min_length=1, description="Name or address of the MQTT broker.")
    port: int = Field(1883, ge=1, le=65535, description="TCP port of the broker.")
    protocol: Literal["5", "3.1.1"] = Field("5", description="MQTT version; 3.1.1 only for brokers without 5.")
    prefix: str = Field(
        "wattline",
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        description="What every topic starts with.",
    )
    username: str | None = Field(None, description="User name, if the broker asks for one.")
    password_file: Path | None = Field(None, description="File with the password, readable by its owner only.")
    ca_file: Path | None = Field(None, description="CA of the broker's certificate; giving it turns TLS on.")
    certificate_file: Path | None = Field(None, description="Client certificate for mutual TLS.")
    key_file: Path | None = Field(None, description="Key of the client certificate.")
    keepalive: Duration = Field(30.0, gt=0, le=3600, description="MQTT keep-alive interval.")
    allow_plaintext: bool = Field(False, description="Speak without TLS to a broker that is not on this machine.")

    @property
    def unprotected(self) -> bool:
        """Whether readings would leave this machine in the clear without anyone having asked for it."""
        local = self.host in ("localhost", "::1") or self.host.startswith("127.")
        return self.ca_file is None and not local and not self.allow_plaintext
