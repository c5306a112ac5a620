"""Slips of the keyboard that no YAML parser understands: a tab, a full-width colon, no space after a colon.

They are found in the text, not in what a parser made of it, and a mended copy of the text lets the parser go on to
the other mistakes of the file. Quoted text and comments are left alone, and so is a word that is no known key.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_PUNCTUATION: Final = dict(zip("：，｛｝［］＃－　“”‘’", ":,{}[]#- \"\"''", strict=True))
_FULL_WIDTH: Final = _PUNCTUATION | {chr(code): chr(code - 0xFEE0) for code in range(0xFF10, 0xFF5B)}
_NEEDS_SPACE: Final = "：，"  # : and , only count with a space behind them
_TAB_SPACES: Final = 2


@dataclass(frozen=True, slots=True)
class Slip:
    """One slip; line and column count from one."""

    line: int
    column: int
    kind: str  # "tab", "full width" or "space"
    wrong: str = ""
    right: str = ""


@dataclass(frozen=True, slots=True)
class Mended:
    """The text as it was meant, and the slips that were in it."""

    text: str
    slips: tuple[Slip, ...]
    _added: dict[int, list[int]]  # by line: columns of the mended text that the file does not have

    def column(self, line: int, column: int) -> int:
        """The column in the file of a column in the mended text; both from one."""
        return column - bisect_left(self._added.get(line, []), column)


def mend(text: str, keys: Iterable[str]) -> Mended:
    """Find the slips and mend them; ``keys`` are the words that may stand before a colon.

    >>> mend("unit：１", ["unit"]).text
    'unit: 1'
    """
    joined = "|".join(sorted(map(re.escape, keys), key=len, reverse=True))
    # Only where a key may stand, and no address: http is a key as well.
    known = re.compile(rf"(?:^\s*(?:- +)*|[{{,]\s*)({joined}):(?=[^\s:])(?!//)") if joined else None
    lines, slips, added = [], [], {}
    for number, line in enumerate(text.split("\n"), 1):
        # A missing space belongs before the sign in its column, which may be a slip, too.
        found = sorted(_slips(line, number, known), key=lambda slip: (slip.column, slip.kind != "space"))
        slips += found
        mended, columns = _mended(line, found)
        lines.append(mended)
        if columns:
            added[number] = columns
    return Mended("\n".join(lines), tuple(slips), added)


def _slips(line: str, number: int, known: re.Pattern[str] | None) -> Iterator[Slip]:
    bare = _without_quotes(line)
    indented = len(line) - len(line.lstrip(" \t"))
    for i, sign in enumerate(bare):
        if sign == "\t" and (i < indented or bare[:i].rstrip().endswith((":", "-", ","))):
            yield Slip(number, i + 1, "tab")
        elif sign in _FULL_WIDTH:
            yield Slip(number, i + 1, "full width", sign, _FULL_WIDTH[sign])
    if known is not None:
        for match in known.finditer(bare):
            yield Slip(number, match.end() + 1, "space", match[1], f"{match[1]}: ")


def _without_quotes(line: str) -> str:
    """The line with blanks in place of quoted text and of a comment."""
    out, quote = [], ""
    for i, sign in enumerate(line):
        if quote:
            quote = "" if sign == quote else quote
            out.append("\0")
        elif sign in "\"'" and (i == 0 or line[i - 1] in " \t[{,:"):
            quote = sign
            out.append("\0")
        elif sign in "#＃" and (i == 0 or line[i - 1] in " \t　"):
            break
        else:
            out.append(sign)
    return "".join(out)


def _mended(line: str, slips: list[Slip]) -> tuple[str, list[int]]:
    """The mended line, and which of its columns were added."""
    out, added, at = "", [], 0
    for slip in slips:
        out += line[at : slip.column - 1]
        at = slip.column - 1
        if slip.kind == "space":
            right = " "
        else:
            at += 1
            right = " " * _TAB_SPACES if slip.kind == "tab" else slip.right
            if slip.wrong in _NEEDS_SPACE and slip.wrong and not line[at : at + 1].isspace():
                right += " "
        kept = 0 if slip.kind == "space" else 1
        added += [len(out) + 1 + kept + k for k in range(len(right) - kept)]
        out += right
    return out + line[at:], added
