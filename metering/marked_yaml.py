"""YAML text → plain data with the place of every key and value, or what is wrong with the text.

Scalars are read as YAML 1.2 does where YAML 1.1 surprises: ``200:5`` is text and not 12005, ``010`` is ten and not
eight. Anchors and merge keys work; a key given twice is a mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from metering.language import Language
from metering.settings_words import WORDS
from metering.yaml_slips import Mended, Slip

Place = tuple[str | int, ...]

MAX_NODES: Final = 200_000  # aliases can make a small file expand without end
MAX_DEPTH: Final = 50

_MERGE: Final = "tag:yaml.org,2002:merge"
_SEXAGESIMAL: Final = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_LEADING_ZERO: Final = re.compile(r"([-+]?)0+([0-9]+)")


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


def dotted(path: Place) -> str:
    """Write a path as a person would: ``meters[1].address``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


class NotYaml(Exception):  # noqa: N818 - the loader turns it into a ConfigError
    """The text has no tree: one problem, and no more can be said."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


@dataclass
class MarkedTree:
    """Plain data built from a node tree, with the place of every key and value."""

    lang: Language = "en"
    keys: dict[Place, yaml.Mark] = field(default_factory=dict)
    values: dict[Place, yaml.Mark] = field(default_factory=dict)
    written: dict[Place, str] = field(default_factory=dict)  # bare scalars as they stand in the file
    quoted: dict[Place, str] = field(default_factory=dict)  # the others
    problems: list[Problem] = field(default_factory=list)
    unreadable: set[Place] = field(default_factory=set)
    _steps: int = field(default=0, repr=False)  # keys that merges have looked at
    _scalars: yaml.SafeLoader = field(default_factory=lambda: yaml.SafeLoader(""), repr=False)

    def build(self, node: yaml.Node, path: Place = ()) -> Any:
        """Dicts, lists and scalars; notes marks, duplicate keys and unreadable values.

        Raises:
            NotYaml: too many nodes, or too deep.
        """
        if len(self.values) >= MAX_NODES or len(path) > MAX_DEPTH:
            raise NotYaml(Problem.at(node.start_mark, (), WORDS[self.lang]["too large"]))
        self.values[path] = node.start_mark
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Place) -> Any:
        if isinstance(node, yaml.ScalarNode) and node.style is None:
            self.written[path] = node.value
            if _SEXAGESIMAL.fullmatch(node.value):
                return node.value
            if zeros := _LEADING_ZERO.fullmatch(node.value):
                return int(zeros[1] + zeros[2])
        else:
            self.quoted[path] = str(node.value)
        try:
            return self._scalars.construct_object(node)
        except (yaml.MarkedYAMLError, LookupError, AttributeError):  # the latter two of a tag that does not fit
            self.problems.append(Problem.at(node.start_mark, path, WORDS[self.lang]["tag"]))
        except ValueError as error:
            self.problems.append(Problem.at(node.start_mark, path, str(error)))
        self.unreadable.add(path)
        return None

    def _mapping(self, node: yaml.MappingNode, path: Place) -> dict[str, Any]:
        words = WORDS[self.lang]
        out: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem.at(key_node.start_mark, path, words["plain key"]))
                continue
            if key_node.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            here = (*path, key_node.value)
            if key_node.value in out:
                first = self.keys[here].line + 1
                self.problems.append(Problem.at(key_node.start_mark, here, words["twice"].format(first)))
            self.keys[here] = key_node.start_mark
            out[key_node.value] = self.build(value, here)
        for key_node, value in self._merged(merged, path):
            if key_node.value not in out:
                here = (*path, key_node.value)
                self.keys[here] = key_node.start_mark
                out[key_node.value] = self.build(value, here)
        return out

    def _merged(self, nodes: list[yaml.Node], path: Place) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """The keys that ``<<`` brings; the first of several wins, and what stands in the mapping itself before all."""
        for node in nodes:
            if not isinstance(node, yaml.MappingNode):
                self.problems.append(Problem.at(node.start_mark, path, WORDS[self.lang]["merge"]))
                continue
            deeper: list[yaml.Node] = []
            for key_node, value in node.value:
                self._steps += 1
                if self._steps > MAX_NODES:
                    raise NotYaml(Problem.at(node.start_mark, (), WORDS[self.lang]["too large"]))
                if key_node.tag == _MERGE:
                    deeper += value.value if isinstance(value, yaml.SequenceNode) else [value]
                elif isinstance(key_node, yaml.ScalarNode):
                    yield key_node, value
            yield from self._merged(deeper, path)

    def text_at(self, path: Place) -> str:
        """A scalar as it stands in the file; empty for anything else."""
        return self.written.get(path) or self.quoted.get(path, "")

    def nearest(self, path: Place) -> yaml.Mark | None:
        """The mark of the value at ``path`` or of its nearest parent."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The data of a text, its places, and the slips that had to be mended to get it."""

    data: Any
    tree: MarkedTree
    mended: Mended | None = None

    def in_file(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems of the mended text, at their places in the file, with the slips among them.

        With tabs nobody knows which line belongs to which: then only the slips are told.
        """
        if self.mended is None:
            return list(problems)
        slips = [told(slip, self.tree.lang) for slip in self.mended.slips]
        if any(slip.kind == "tab" for slip in self.mended.slips):
            return slips
        return [*(_moved(one, self.mended) for one in problems), *slips]


def parse(text: str, lang: Language) -> Parsed:
    """YAML text → data and places.

    Raises:
        NotYaml: the text is not YAML, or too much of it.
    """
    tree = MarkedTree(lang)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise NotYaml(_syntax(error, text, lang)) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        raise NotYaml(Problem(line, column, "", WORDS[lang]["control"])) from None
    except RecursionError:
        raise NotYaml(Problem(1, 1, "", WORDS[lang]["too large"])) from None
    return Parsed({} if node is None else tree.build(node), tree)


def parse_mended(mended: Mended, lang: Language) -> Parsed:
    """The same of a mended text.

    Raises:
        NotYaml: the mended text is not YAML either; the problem stands where it does in the file.
    """
    try:
        parsed = parse(mended.text, lang)
    except NotYaml as error:
        raise NotYaml(_moved(error.problem, mended)) from None
    return Parsed(parsed.data, parsed.tree, mended)


def _moved(problem: Problem, mended: Mended) -> Problem:
    return replace(problem, column=mended.column(problem.line, problem.column))


def told(slip: Slip, lang: Language) -> Problem:
    """A slip as a problem."""
    words = WORDS[lang]
    text = words[slip.kind]
    if slip.kind == "full width":
        text = text.format(slip.wrong, slip.right)
    elif slip.kind == "space":
        text = text.format(slip.wrong)
    return Problem(slip.line, slip.column, "", text)


def _syntax(error: yaml.MarkedYAMLError, text: str, lang: Language) -> Problem:
    """The parser's complaint as something a person can act on."""
    words = WORDS[lang]
    problem, mark, context = error.problem or "", error.problem_mark, error.context_mark
    line = text.split("\n")[mark.line] if mark and mark.line <= text.count("\n") else ""
    if problem.startswith("mapping values"):
        second = mark is not None and ": " in line[: mark.column]
        return Problem.at(mark, (), words["second colon" if second else "level"])
    if problem.startswith("expected <block end>") and mark is not None and context is not None:
        column, row = _neighbour(text.split("\n")[: mark.line], line) or (context.column, context.line)
        return Problem.at(mark, (), words["indentation"].format(column + 1, row + 1))
    if problem.startswith("expected ',' or") and context is not None:
        bracket = "}" if "'}'" in problem else "]"
        return Problem.at(mark, (), words["flow"].format(context.line + 1, bracket))
    key = next((key for beginning, key in _COMPLAINTS.items() if problem.startswith(beginning)), None)
    if key is None:
        return Problem.at(mark, (), words["not yaml"].format(problem or error))
    return Problem.at(context or mark if key in ("open quote", "no colon") else mark, (), words[key])


def _neighbour(above: list[str], line: str) -> tuple[int, int] | None:
    """Column and row (from zero) of the list entry above, if the line is a list entry."""
    if not line.lstrip().startswith("- "):
        return None
    rows = (row for row in range(len(above) - 1, -1, -1) if above[row].lstrip().startswith("- "))
    row = next(rows, None)
    return None if row is None else (above[row].index("-"), row)


_COMPLAINTS: Final = {
    "could not find expected ':'": "no colon",
    "found character '\\t'": "tab",
    "found unexpected end of stream": "open quote",
    "found undefined alias": "no anchor",
    "found character": "start",
    "found unknown escape character": "escape",
    "but found another document": "documents",
}
