"""A YAML file → frozen settings, or every mistake of the file at once.

A person sees each mistake as ``file:line:column path: what is wrong → what to write``, in file order and in
their language. ``marked_yaml`` keeps the place of every key and value; pydantic says what is wrong;
``settings_errors`` maps the one onto the other. What is right of a file that has mistakes is checked across keys all
the same, so that one run shows both kinds.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from metering.errors import StopAndFix
from metering.language import Language
from metering.marked_yaml import MarkedTree, NotYaml, Parsed, Place, Problem, parse, parse_mended, told
from metering.settings_errors import explain, field_names, without_echoes
from metering.settings_words import WORDS
from metering.valid_part import ValidPart, valid_part
from metering.yaml_slips import mend

Model = TypeVar("Model", bound=BaseModel)

MAX_FILE_BYTES: Final = 16 * 1024 * 1024


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
