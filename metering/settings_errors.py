"""pydantic's errors → problems with a place, in words a person can act on."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel, Tag
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from metering.language import Language
from metering.marked_yaml import MarkedTree, Place, Problem
from metering.settings_words import MESSAGES, WORDS

_SHOWN: Final = 60
_NEEDS_QUOTES: Final = ("identifier", "string_type")
_SECRETS: Final = {"password": "password_file", "passwd": "password_file", "token": "token_file"}


def explain(error: ErrorDetails, tree: MarkedTree, model: type[BaseModel]) -> Problem:
    """Turn one pydantic error into a problem with a place."""
    words = WORDS[tree.lang]
    path = known_part(error["loc"], tree)
    kind = error["type"]
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, error["loc"][:-1], tree))
        others = _fields_at(model, path[:-1], tree)  # of all kinds
        wrong = str(path[-1])
        text = words["unknown key"] + _hint(wrong, known, others, tree.lang)
        if wrong.lower() in _SECRETS:
            text = words["secret"].format(_SECRETS[wrong.lower()])
        return Problem.at(tree.keys.get(path), path, text)
    if kind == "missing":
        text = words["missing"] + _example(_models_at(model, error["loc"][:-1], tree), str(error["loc"][-1]), words)
        return Problem.at(tree.nearest(path), (*path, error["loc"][-1]), text)
    template = MESSAGES.get(kind)
    text = error["msg"].removeprefix("Value error, ")
    if template is not None:
        text = template[tree.lang == "zh"].format(**_plain(error.get("ctx", {}), tree.lang))
    return Problem.at(tree.nearest(path), path, text + _got(error, path, tree))


def without_echoes(errors: list[ErrorDetails], tree: MarkedTree) -> list[ErrorDetails]:
    """Leave out what another message says already.

    That is a list that is short only because its entry is wrong, a value that could not be read at all, and the kinds
    of a union beside the one that was meant.
    """
    places = [error["loc"] for error in errors]

    def echoes(error: ErrorDetails) -> bool:
        here = error["loc"]
        deeper = any(len(place) > len(here) and place[: len(here)] == here for place in places)
        return here in tree.unreadable or (error["type"] == "too_short" and deeper)

    return [error for error in errors if not echoes(error)]


def known_part(location: Place, tree: MarkedTree) -> Place:
    """Drop the union tags and member names pydantic adds: they are no keys of the file."""
    if location in tree.values:
        return location
    real: Place = ()
    for part in location:
        if (*real, part) in tree.values:
            real = (*real, part)
    return real


def field_names(model: type[BaseModel]) -> set[str]:
    """Every key that may stand anywhere in a file of this model."""
    names: set[str] = set()
    waiting, seen = [model], {model}
    while waiting:
        fields = waiting.pop().model_fields
        names |= {field.alias or name for name, field in fields.items()}
        for field in fields.values():
            new = {found for found, _ in _models_in(field.annotation)} - seen
            seen |= new
            waiting += new
    return names


def _hint(wrong: str, known: list[str], others: set[str], lang: Language) -> str:
    """What was meant: a key of this kind, else of another one, since the slip may be in what tells the kind."""
    words = WORDS[lang]
    near = difflib.get_close_matches(wrong, known, 1)
    if not near and wrong not in others:
        near = difflib.get_close_matches(wrong, others, 1)
    if near:
        return words["did you mean"].format(near[0])
    return words["known"].format(", ".join(known)) if known else ""


def _got(error: ErrorDetails, path: Place, tree: MarkedTree) -> str:
    """The value as it stands in the file, and what to do about its quotation marks."""
    words = WORDS[tree.lang]
    value = error["input"]
    if isinstance(value, dict | list | BaseModel) or not path:
        return ""
    got = words["got"].format(_shown(value, tree.written.get(path)))
    if error["type"] in _NEEDS_QUOTES and value is not None and not isinstance(value, str) and path in tree.written:
        return got + words["quote"].format(tree.written[path])
    if error["type"] == "int_parsing" and isinstance(value, str) and path not in tree.written:
        try:
            return got + words["bare number"].format(int(value, 0))
        except ValueError:
            return got
    return got


def _shown(value: object, written: str | None) -> str:
    text = repr(value) if isinstance(value, str) else (written or str(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "…"


def _plain(context: dict[str, Any], lang: Language) -> dict[str, str]:
    """pydantic's words for a limit or a choice as a person would write them."""
    comma = "、" if lang == "zh" else ", "
    plain = {}
    for key, value in context.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        plain[key] = text.replace(" or ", ", ").replace("'", "").replace(", ", comma)
    return plain


def _example(models: list[type[BaseModel]], name: str, words: dict[str, str]) -> str:
    """How the key may be written, if its field says so."""
    for one in models:
        if name in one.model_fields and (examples := one.model_fields[name].examples):
            return words["such as"].format(f"{name}: {_written(examples[0])}")
    return ""


def _written(example: object) -> str:
    """An example as it stands in a file."""
    if isinstance(example, dict):
        return f"{{{', '.join(f'{key}: {_written(value)}' for key, value in example.items())}}}"
    return f'"{example}"' if isinstance(example, str) and example.isdecimal() else str(example)


def _fields_at(model: type[BaseModel], location: Place, tree: MarkedTree) -> set[str]:
    """Fields that the mapping at a location of pydantic's may have."""
    return {name for candidate in _models_at(model, location, tree) for name in candidate.model_fields}


def _models_at(model: type[BaseModel], location: Place, tree: MarkedTree) -> list[type[BaseModel]]:
    """What may stand at a location; of a union only the member that its tag in the location names."""
    found: list[tuple[type[BaseModel], frozenset[str]]] = [(model, frozenset())]
    real: Place = ()
    for part in location:
        if (*real, part) not in tree.values:
            found = [one for one in found if part in one[1]] or found
            continue
        real = (*real, part)
        if not isinstance(part, int):
            fields = [candidate.model_fields[part] for candidate, _ in found if part in candidate.model_fields]
            found = [one for field in fields for one in _models_in(field.annotation, field.discriminator)]
    return [candidate for candidate, _ in found]


def _models_in(annotation: object, discriminator: object = None) -> Iterator[tuple[type[BaseModel], frozenset[str]]]:
    """Every model in an annotation, with the tags by which pydantic tells it from the other members of a union."""
    inner = typing.get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(discriminator) if isinstance(discriminator, str) else None
        yield annotation, frozenset(typing.get_args(field.annotation)) if field else frozenset()
    tags = frozenset(one.tag for one in inner if isinstance(one, Tag))
    discriminator = next((one.discriminator for one in inner if isinstance(one, FieldInfo)), discriminator)
    for one in inner:
        yield from ((model, found | tags) for model, found in _models_in(one, discriminator))
