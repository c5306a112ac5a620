"""The evidence sheet: one page, plain words, both languages, both readers; what was printed once is printed again."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from collector.feeds.case import Audience, Case
from collector.feeds.inspection import cases_of
from collector.feeds.sheet import WIDTH, as_text, columns, sheet
from collector.feeds.sheet_page import Load, as_html
from collector.feeds.sheet_words import quantity
from metering.language import Language
from metering.quantity import QUANTITIES
from tests.support.findings import START, event
from tests.support.rounds import T0

HERE = Path(__file__).parent / "feeds"
ZONE = ZoneInfo("Asia/Shanghai")
BLOCK_MS = 900_000
A_PAGE = 60

EVERY = [(lang, audience) for lang in get_args(Language) for audience in get_args(Audience)]


def golden() -> Case:
    return Case.model_validate_json((HERE / "case.open.golden.json").read_text(encoding="utf-8"))


def large() -> Case:
    kinds = ("current_loss", "current_shunt", "energy_mismatch", "consumption_suspect", "feeder_excess")
    events = [event(kind, part="L2" if n < 2 else "f-1") for n, kind in enumerate(kinds)]
    (case,) = cases_of([one.cloudevent() for one in events], [], START)
    return case


@pytest.mark.parametrize(("lang", "audience"), EVERY)
def test_a_sheet_reads_as_it_was_agreed(lang: Language, audience: Audience) -> None:
    agreed = (HERE / f"sheet.{audience}.{lang}.txt").read_text(encoding="utf-8")

    assert as_text(sheet(golden(), lang, audience, ZONE)) == agreed


@pytest.mark.parametrize(("lang", "audience"), EVERY)
def test_a_sheet_is_one_page_and_accuses_nobody(lang: Language, audience: Audience) -> None:
    for case in (golden(), large()):
        text = as_text(sheet(case, lang, audience, ZONE))

        lines = text.splitlines()
        assert len(lines) <= A_PAGE
        assert max(columns(line) for line in lines) <= WIDTH + 2  # a full stop may hang over
        assert ("needs inspection" if lang == "en" else "计量需要检查") in text
        assert not re.search(r"theft|steal|fraud|窃|偷", text, re.IGNORECASE)
        assert case.conditions[0].configuration in text
        assert (f"{case.score:.2f}" in text.splitlines()[10]) == (audience == "inspector")


@pytest.mark.parametrize("name", [*QUANTITIES, "integrated_kwh", "register_kwh", "quality"])
def test_whatever_was_measured_has_a_name_in_plain_words(name: str) -> None:
    chinese, unit = quantity(name, "zh")
    english, same = quantity(name, "en")

    assert re.search("[\u4e00-\u9fff]", chinese)
    assert "_" not in chinese + english
    assert unit == same


def test_no_number_is_torn_at_the_end_of_a_line() -> None:
    for path in HERE.glob("sheet.*.txt"):
        assert not re.search(r"\d[.:]\n\d", path.read_text(encoding="utf-8"))


class Tags(HTMLParser):
    """Every tag, attribute and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page(case: Case, load: Load | None = None) -> Tags:
    tags = Tags()
    tags.feed(as_html(sheet(case, "en", "customer", ZONE), "en", ZONE, load))
    tags.close()
    return tags


def test_a_page_holds_what_the_text_holds_and_needs_nothing_from_elsewhere() -> None:
    case = golden()
    found = page(case)

    for section in sheet(case, "en", "customer", ZONE).sections:
        for line in section.lines:
            assert line in found.text
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert not {"src", "href", "onload"} & {name for name, _ in found.attributes}


def test_text_from_outside_is_never_markup() -> None:
    case = golden().model_copy(update={"account": "<script>alert(1)</script>"})

    found = page(case)

    assert "script" not in found.tags
    assert "<script>alert(1)</script>" in found.text


def test_the_load_is_drawn_with_its_holes_and_the_condition_is_shaded() -> None:
    points = [(T0 + n * BLOCK_MS, 2.0 + n % 3) for n in range(40) if n not in (10, 11)]
    load = Load(tuple(points), START + timedelta(hours=5), START + timedelta(hours=7))

    found = page(golden(), load)

    assert found.tags.count("polyline") == 2
    drawn = [value for name, value in found.attributes if name == "points"]
    assert sum(len((line or "").split()) for line in drawn) == len(points)
    (box,) = [dict(found.attributes)[name] for name in ("width",)]
    assert float(box or 0) == pytest.approx(720 * 2 / 10, abs=0.2)
    assert "svg" not in page(golden(), Load((), START, None)).tags
