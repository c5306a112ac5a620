"""A folder is a case: a wrong gateway.yaml and what a technician reads, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import words
from edge_agent.config import load
from edge_agent.drivers.driver import Reason
from edge_agent.drivers.registry import ProfileShelf
from metering.settings import ConfigError

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "edge" / "config"


def said(case: Path, lang: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(case / "gateway.yaml", lang)  # type: ignore[arg-type]
    return f"{caught.value}\n".replace(f"{case}/", "")


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_every_mistake_is_shown_with_its_place(case: Path, lang: str):
    expected = (case / f"expected.{lang}.txt").read_text(encoding="utf-8")

    assert said(case, lang) == expected


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_technician_is_told_what_to_do_about_every_reason(lang):
    told = words.words(lang)

    assert [reason for reason in Reason if "→" not in told.get(reason, "")] == []


def test_the_example_is_right_and_relative_paths_start_at_its_folder(tmp_path: Path):
    example = ROOT / "config" / "gateway.example.yaml"
    copy = tmp_path / "gateway.yaml"
    copy.write_text(example.read_text(encoding="utf-8").replace("/var/lib/wattline/", ""), encoding="utf-8")

    assert load(example).spool.path == Path("/var/lib/wattline/spool.db")
    assert load(copy).spool.path == tmp_path / "spool.db"


def test_both_languages_have_the_same_words_with_the_same_blanks():
    english, chinese = words.words("en"), words.words("zh")

    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.count("{") == chinese[key].count("{"), key


def test_an_own_profile_goes_before_the_shipped_one(tmp_path: Path):
    own = CASES / "nothing_left" / "maps" / "only_power.yaml"
    (tmp_path / "eastron_sdm630.yaml").write_text(own.read_text(encoding="utf-8"), encoding="utf-8")

    shelf = ProfileShelf(tmp_path)

    assert shelf.names == ["chint_dtsu666", "eastron_sdm630"]
    assert shelf.profile("eastron_sdm630").model == "One register"
