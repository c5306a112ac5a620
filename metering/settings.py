"""YAML → frozen settings, or every mistake of the file at once.

A person sees each mistake as ``file:line:column path: what is wrong → what to write``, in file order and in
their language. PyYAML's node tree keeps the place of every key and value; pydantic says what is wrong; this
file maps the one onto the other.

A room declares the settings it takes as a ``Settings`` class beside its code; a program's ``config.py`` only
puts them together. Secrets never stand in a YAML file: a setting names the file that holds one.
"""

from __future__ import annotations

import difflib
import os
import re
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from metering.errors import StopAndFix
from metering.topics import IDENTIFIER

Language = Literal["en", "zh"]
Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

MAX_NODES: Final = 200_000  # aliases can make a small file expand without end
MAX_DEPTH: Final = 50
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
]
"""A length of time in seconds, written with its unit: ``500ms``, ``15s``, ``5min``, ``24h``."""


def _identifier(value: object) -> object:
    if isinstance(value, str) and IDENTIFIER.fullmatch(value):
        return value
    raise PydanticCustomError("identifier", "not an identifier")


Identifier = Annotated[str, BeforeValidator(_identifier, json_schema_input_type=str)]
"""The name of a gateway, meter, bus, site …: letters, digits, ``_ . -``."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake and where it stands; sorts in file order."""

    line: int
    column: int
    path: str
    text: str

    @classmethod
    def at(cls, mark: yaml.Mark | None, path: Place, text: str) -> Problem:
        """Place a text at a zero-based mark, or at the top of the file."""
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return cls(line, column, dotted(path), text)

    def __str__(self) -> str:
        return (
            f"{self.line}:{self.column} {self.path}: {self.text}"
            if self.path
            else (f"{self.line}:{self.column} {self.text}")
        )


class ConfigError(StopAndFix):
    """Every problem of one file, in file order."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        """Sort and render the problems."""
        self.name = name
        self.problems = sorted(problems)
        super().__init__("\n".join(f"{name}:{problem}" for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Loaded(typing.Generic[Model]):
    """The settings, and the places to report mistakes that only a second look finds."""

    name: str
    value: Model
    tree: MarkedTree

    def problem(self, path: Place, text: str) -> Problem:
        """A mistake at ``path``: at the value if there is one, else at the nearest parent."""
        return Problem.at(self.tree.nearest(path), path, text)


def load_file(
    path: Path, model: type[Model], lang: Language = "en", check: Callable[[Loaded[Model]], list[Problem]] | None = None
) -> Model:
    """Read and validate one YAML file.

    Args:
        path: the file; its name stands in front of every message as it was given.
        model: what the file must hold.
        lang: language of the messages.
        check: finds mistakes across keys (an id used twice, a reference to nothing).

    Raises:
        ConfigError: the file is missing, unreadable or wrong; every problem is in it.
    """
    words = _WORDS[lang]
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(str(path), [Problem(1, 1, "", words["too large"])])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(path), [Problem(1, 1, "", words["no file"])]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), [Problem(1, 1, "", words["not utf-8"].format(error.start))]) from None
    except OSError as error:
        raise ConfigError(str(path), [Problem(1, 1, "", f"{words['unreadable']}: {error.strerror}")]) from None
    return load_text(text, str(path), model, lang, check)


def load_text(
    text: str,
    name: str,
    model: type[Model],
    lang: Language = "en",
    check: Callable[[Loaded[Model]], list[Problem]] | None = None,
) -> Model:
    """Validate YAML text; see ``load_file``.

    Raises:
        ConfigError: every problem of the text.
    """
    tree = MarkedTree(lang)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = {} if node is None else tree.build(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(name, [Problem.at(error.problem_mark, (), _syntax(error, lang))]) from None
    except yaml.YAMLError as error:
        raise ConfigError(name, [Problem(1, 1, "", f"{_WORDS[lang]['unreadable']}: {error}")]) from None
    except _TooLarge as error:
        raise ConfigError(name, [Problem.at(error.mark, (), _WORDS[lang]["too large"])]) from None
    problems = tree.problems
    try:
        value = model.model_validate(data)
    except ValidationError as error:
        found = _without_echoes(error.errors(include_url=False), tree.unreadable)
        problems += [tree.explain(one, model) for one in found]
    else:
        if check is not None:
            problems += check(Loaded(name, value, tree))
    if problems:
        raise ConfigError(name, problems)
    return value


def dotted(path: Place) -> str:
    """Write a path as a person would: ``meters[1].address``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class _TooLarge(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, mark: yaml.Mark | None) -> None:
        self.mark = mark


@dataclass
class MarkedTree:
    """Plain data built from a node tree, with the place of every key and value."""

    lang: Language = "en"
    keys: dict[Place, yaml.Mark] = field(default_factory=dict)
    values: dict[Place, yaml.Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[Place] = field(default_factory=set)
    _scalars: yaml.SafeLoader = field(default_factory=lambda: yaml.SafeLoader(""), repr=False)

    def build(self, node: yaml.Node, path: Place = ()) -> Any:
        """Dicts, lists and scalars; notes marks, duplicate keys and unreadable values."""
        if len(self.values) >= MAX_NODES or len(path) > MAX_DEPTH:
            raise _TooLarge(node.start_mark)
        self.values[path] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except (ValueError, yaml.MarkedYAMLError) as error:
            why = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            self.problems.append(Problem.at(node.start_mark, path, str(why)))
            self.unreadable.add(path)
            return None

    def _mapping(self, node: yaml.MappingNode, path: Place) -> dict[str, Any]:
        words = _WORDS[self.lang]
        out: dict[str, Any] = {}
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem.at(key_node.start_mark, path, words["plain key"]))
                continue
            here = (*path, key_node.value)
            if key_node.value in out:
                first = self.keys[here].line + 1
                self.problems.append(Problem.at(key_node.start_mark, here, words["twice"].format(first)))
            self.keys[here] = key_node.start_mark
            out[key_node.value] = self.build(value, here)
        return out

    def nearest(self, path: Place) -> yaml.Mark | None:
        """The mark of the value at ``path`` or of its nearest parent."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)

    def explain(self, error: ErrorDetails, model: type[BaseModel]) -> Problem:
        """Turn one pydantic error into a problem with a place."""
        words = _WORDS[self.lang]
        path = self._known_part(error["loc"])
        kind = error["type"]
        if kind == "extra_forbidden":
            known = _field_names(model, path[:-1])
            near = difflib.get_close_matches(str(path[-1]), known, 1)
            hint = words["did you mean"].format(near[0]) if near else words["known"].format(", ".join(known))
            return Problem.at(self.keys.get(path), path, words["unknown key"] + (hint if known else ""))
        if kind == "missing":
            absent = error["loc"][-1]
            return Problem.at(self.nearest(path), (*path, absent), words["missing"])
        template = _MESSAGES.get(kind)
        text = error["msg"].removeprefix("Value error, ")
        if template is not None:
            text = template[self.lang == "zh"].format(**_plain(error.get("ctx", {}), self.lang))
        value = error["input"]
        got = "" if isinstance(value, dict | list | BaseModel) or not path else words["got"].format(_shown(value))
        return Problem.at(self.nearest(path), path, text + got)

    def _known_part(self, location: Place) -> Place:
        """Drop the union tags and member names pydantic adds: they are no keys of the file."""
        if location in self.values:
            return location
        real: Place = ()
        for part in location:
            if (*real, part) in self.values:
                real = (*real, part)
        return real


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"  # noqa: PLR2004


def _plain(context: dict[str, Any], lang: Language) -> dict[str, str]:
    """pydantic's words for a limit or a choice as a person would write them."""
    comma = "、" if lang == "zh" else ", "
    plain = {}
    for key, value in context.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        plain[key] = text.replace(" or ", ", ").replace("'", "").replace(", ", comma)
    return plain


def _without_echoes(errors: list[ErrorDetails], unreadable: set[Place]) -> list[ErrorDetails]:
    """Leave out what another message says already.

    That is a list that is short only because its entry is wrong, and a value that could not be read at all.
    """
    places = [error["loc"] for error in errors]

    def echoes(error: ErrorDetails) -> bool:
        here = error["loc"]
        deeper = any(len(place) > len(here) and place[: len(here)] == here for place in places)
        return here in unreadable or (error["type"] == "too_short" and deeper)

    return [error for error in errors if not echoes(error)]


def _field_names(model: type[BaseModel], path: Place) -> list[str]:
    """Fields a mapping at ``path`` may have, over all members of a union."""
    candidates = [model]
    for part in path:
        if not isinstance(part, int):
            fields = [c.model_fields[part].annotation for c in candidates if part in c.model_fields]
            candidates = [found for annotation in fields for found in _models_in(annotation)]
    return sorted({name for candidate in candidates for name in candidate.model_fields})


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from _models_in(inner)


def _syntax(error: yaml.MarkedYAMLError, lang: Language) -> str:
    problem = error.problem or "not YAML"
    if "'\\t'" in problem:
        return _WORDS[lang]["tab"]
    return f"{_WORDS[lang]['not yaml']}: {problem}"


_WORDS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "no file": "there is no such file",
        "unreadable": "the file cannot be read",
        "not utf-8": "the file is not UTF-8 text (byte {})",
        "too large": "the file is too large, or an alias contains itself",
        "tab": "a tab stands where YAML wants spaces → indent with spaces",
        "not yaml": "not YAML",
        "plain key": "a key must be a plain word",
        "twice": "key given twice (first on line {}) → keep one",
        "unknown key": "unknown key",
        "did you mean": " → did you mean '{}'?",
        "known": " → known: {}",
        "missing": "is missing → add it",
        "got": " (got {})",
    },
    "zh": {
        "no file": "文件不存在",
        "unreadable": "无法读取文件",
        "not utf-8": "文件不是 UTF-8 文本（第 {} 字节）",
        "too large": "文件过大，或别名包含自身",
        "tab": "YAML 不允许用制表符缩进 → 请改用空格",
        "not yaml": "不是合法的 YAML",
        "plain key": "键必须是普通单词",
        "twice": "键重复（首次出现在第 {} 行）→ 只保留一个",
        "unknown key": "未知的键",
        "did you mean": " → 是否应为“{}”？",
        "known": " → 可用：{}",
        "missing": "缺少此项 → 请补上",
        "got": "（现值 {}）",
    },
}

# What to say for pydantic's error types, English and Chinese; a type not listed keeps pydantic's sentence.
_MESSAGES: Final[dict[str, tuple[str, str]]] = {
    "string_type": ("not text", "应为文本"),
    "string_too_short": ("at least {min_length} characters", "至少 {min_length} 个字符"),
    "string_pattern_mismatch": ("does not fit the pattern {pattern}", "不符合格式 {pattern}"),
    "int_type": ("not a whole number", "应为整数"),
    "int_parsing": ("not a whole number", "应为整数"),
    "int_from_float": ("not a whole number", "应为整数"),
    "float_type": ("not a number", "应为数字"),
    "float_parsing": ("not a number", "应为数字"),
    "bool_type": ("neither true nor false", "应为 true 或 false"),
    "bool_parsing": ("neither true nor false", "应为 true 或 false"),
    "greater_than": ("must be greater than {gt}", "应大于 {gt}"),
    "greater_than_equal": ("must be at least {ge}", "应不小于 {ge}"),
    "less_than": ("must be less than {lt}", "应小于 {lt}"),
    "less_than_equal": ("must be at most {le}", "应不大于 {le}"),
    "literal_error": ("unknown → one of {expected}", "未知 → 可用：{expected}"),
    "enum": ("unknown → one of {expected}", "未知 → 可用：{expected}"),
    "union_tag_invalid": ("type {tag} is unknown → one of {expected_tags}", "类型 {tag} 未知 → 可用：{expected_tags}"),
    "union_tag_not_found": ("says no type → add the key {discriminator}", "未写明类型 → 请添加键 {discriminator}"),
    "list_type": ("not a list", "应为列表"),
    "tuple_type": ("not a list", "应为列表"),
    "dict_type": ("not a mapping (key: value)", "应为映射（键: 值）"),
    "model_type": ("not a mapping (key: value)", "应为映射（键: 值）"),
    "model_attributes_type": ("not a mapping (key: value)", "应为映射（键: 值）"),
    "too_short": ("too few entries → at least {min_length}", "项数过少 → 至少 {min_length} 项"),
    "too_long": ("too many entries → at most {max_length}", "项数过多 → 最多 {max_length} 项"),
    "path_type": ("not a path", "应为文件路径"),
    "date_type": ("not a date → write 2026-06-18", "不是日期 → 例如 2026-06-18"),
    "date_from_datetime_parsing": ("not a date → write 2026-06-18", "不是日期 → 例如 2026-06-18"),
    "timezone_aware": (
        "has no time zone → write 2026-06-18T00:00:00+08:00",
        "缺少时区 → 例如 2026-06-18T00:00:00+08:00",
    ),
    "datetime_type": ("not an instant → write 2026-06-18T00:00:00+08:00", "不是时间 → 例如 2026-06-18T00:00:00+08:00"),
    "datetime_from_date_parsing": (
        "not an instant → write 2026-06-18T00:00:00+08:00",
        "不是时间 → 例如 2026-06-18T00:00:00+08:00",
    ),
    "url_parsing": ("not a URL → write http://127.0.0.1:8086", "不是网址 → 例如 http://127.0.0.1:8086"),
    "url_scheme": ("not a URL → write http://127.0.0.1:8086", "不是网址 → 例如 http://127.0.0.1:8086"),
    "duration": (
        "not a length of time → a number with its unit: 500ms, 15s, 5min, 24h",
        "不是时长 → 数字加单位：500ms、15s、5min、24h",
    ),
    "identifier": (
        "not an identifier → use A-Z a-z 0-9 _ . - (at most 64, the first a letter or digit)",
        "不是标识符 → 只用 A-Z a-z 0-9 _ . -（最多 64 个，首位为字母或数字）",
    ),
    "window": (
        "not a window on quarters of an hour → write 08:00-11:30, and one over midnight as two",
        "不是以一刻钟为单位的时段 → 例如 08:00-11:30；跨零点的请写成两段",
    ),
}


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
