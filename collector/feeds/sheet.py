"""The evidence sheet: one case on at most a page, in words that a shop owner understands.

What was measured, when and against what; the limits in force and the digest of the configuration; what was ruled out;
the kWh at stake with their range; what happens next. The inspector's copy has the scores and says where to look; the
customer's has neither, and accuses nobody.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from collector.events.message import KwhRange, Words
from collector.feeds.case import Audience, Case, Condition
from collector.feeds.counsel import kind_name
from collector.feeds.sheet_words import HEADINGS, STATUS, limit, quantity, ruled_out
from metering.language import Language

WIDTH: Final = 100
_SHOWN: Final = 2
"""Conditions on one page, the strongest first."""
_UNBROKEN: Final = re.compile(r"[!-~]+|.")
_NOT_AT_LINE_START: Final = "，。；：、）！？"


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its paragraphs."""

    heading: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """What stands on the page."""

    title: str
    head: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    note: str


def sheet(case: Case, lang: Language, audience: Audience, zone: ZoneInfo) -> Sheet:
    """The sheet of a case; a case of one condition is the sheet of that condition."""
    words = HEADINGS[lang]
    shown = sorted(
        case.conditions, key=lambda one: (one.withdrawn, one.severity != "inspect", -one.score, one.started_at)
    )[:_SHOWN]
    left = len(case.conditions) - len(shown)
    chinese, english = STATUS[case.status]
    ends = {one.ended_at for one in case.conditions}
    last = max((end for end in ends if end is not None), default=None)
    head = [
        (words["case"], case.id),
        (words["meter"], case.meter),
        (words["account"], case.account or "-"),
        (words["site"], case.site or "-"),
        (words["since"], local(case.first_at, zone)),
        (words["until"], words["lasting"] if None in ends or last is None else local(last, zone)),
        (words["status"], chinese if lang == "zh" else english),
    ]
    if audience == "inspector":
        head.append((words["score"], f"{case.score:.2f}"))
    sections = [Section(words["found"], tuple(_found(shown, left, lang)))]
    sections.append(Section(words["measured"], tuple(_measured(one, lang, zone) for one in shown)))
    sections.append(Section(words["against"], tuple(_limits(one, lang) for one in shown)))
    reasons = dict.fromkeys(ruled_out(name, lang) for one in case.conditions for name in one.ruled_out)
    comma = "、" if lang == "zh" else ", "
    sections.append(Section(words["ruled_out"], (comma.join(reasons) or words["nothing"],)))
    sections.append(Section(words["stake"], (_stake(case.kwh_at_stake, lang),)))
    sections.append(Section(words["next"], (_of(getattr(case.text, audience), lang),)))
    configurations = dict.fromkeys(one.configuration for one in case.conditions)
    sections.append(Section(words["configuration"], (comma.join(configurations),)))
    return Sheet(words["title"], tuple(head), tuple(sections), words["note"].format(zone=zone.key))


def as_text(page: Sheet) -> str:
    """The sheet as plain text."""
    lines = [page.title, "=" * columns(page.title), ""]
    widest = max(columns(name) for name, _ in page.head)
    lines += [f"{name}{' ' * (widest - columns(name))}  {value}" for name, value in page.head]
    for section in page.sections:
        lines += ["", section.heading, "-" * columns(section.heading)]
        for paragraph in section.lines:
            lines += wrapped(paragraph)
    return "\n".join([*lines, "", page.note, ""])


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese takes two a character."""
    return sum(2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def wrapped(text: str) -> list[str]:
    """A paragraph in lines of at most ``WIDTH`` columns."""
    if columns(text) == len(text):
        return textwrap.wrap(text, WIDTH) or [""]
    lines, line = [], ""
    for one in _UNBROKEN.findall(text):
        if columns(line + one) > WIDTH and one not in _NOT_AT_LINE_START:
            lines.append(line.rstrip())
            line = one.lstrip()
        else:
            line += one
    return [*lines, line]


def local(moment: datetime, zone: ZoneInfo) -> str:
    """An instant as people of the site say it."""
    return moment.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _found(shown: Sequence[Condition], left: int, lang: Language) -> Iterator[str]:
    for one in shown:
        name = _of(kind_name(one.kind), lang)
        yield f"{name[:1].upper()}{name[1:]}{'：' if lang == 'zh' else ': '}{_of(one.found, lang)}"
        if one.sentence != one.found:
            yield _of(one.sentence, lang)
    if left > 0:
        yield HEADINGS[lang]["more"].format(n=left)


def _measured(one: Condition, lang: Language, zone: ZoneInfo) -> str:
    parts = [f"{local(one.read_at, zone)}"]
    for name, value in one.readings.items():
        label, unit = quantity(name, lang)
        parts.append(f"{label} {_number(value)}{f' {unit}' if unit else ''}")
    return _listed(parts, lang)


def _limits(one: Condition, lang: Language) -> str:
    parts = [_limit(name, value, lang) for name, value in one.limits.items()]
    colon = "：" if lang == "zh" else ": "
    return f"{_of(kind_name(one.kind), lang)}{colon}{_listed(parts, lang)}"


def _limit(name: str, value: float, lang: Language) -> str:
    label, unit, scale = limit(name, lang)
    return f"{label} {_number(value * scale)}{f' {unit}' if unit else ''}"


def _stake(stake: KwhRange | None, lang: Language) -> str:
    words = HEADINGS[lang]
    if stake is None:
        return words["stake_unknown"]
    return words["stake_text"].format(low=stake.low, best=stake.best, high=stake.high)


def _listed(parts: Iterable[str], lang: Language) -> str:
    return ("；" if lang == "zh" else "; ").join(parts)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _of(words: Words, lang: Language) -> str:
    return words.zh if lang == "zh" else words.en
