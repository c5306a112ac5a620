"""A folder is a case: a wrong gateway.yaml and what a technician reads, in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent import words
from edge_agent.config import load
from edge_agent.drivers.driver import Reason
from edge_agent.drivers.registry import ProfileShelf
from metering.config_file import ConfigError

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


def test_the_certificates_of_a_bus_are_looked_for_beside_the_file(tmp_path: Path):
    text = (CASES / "tls_files" / "gateway.yaml").read_text(encoding="utf-8")
    (tmp_path / "gateway.yaml").write_text(text.replace("nowhere/", ""))
    for name in ("ca.crt", "gateway.key"):
        (tmp_path / name).touch()

    (bus,) = load(tmp_path / "gateway.yaml").buses

    assert (bus.ca_file, bus.certificate_file, bus.key_file) == (tmp_path / "ca.crt", None, tmp_path / "gateway.key")


def test_both_languages_have_the_same_words_with_the_same_blanks():
    english, chinese = words.words("en"), words.words("zh")

    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert text.count("{") == chinese[key].count("{"), key


def test_an_own_profile_goes_before_the_shipped_one(tmp_path: Path):
    own = CASES / "nothing_left" / "maps" / "only_power.yaml"
    (tmp_path / "eastron_sdm630.yaml").write_text(own.read_text(encoding="utf-8"), encoding="utf-8")

    shelf = ProfileShelf(tmp_path)

    assert shelf.names == ProfileShelf().names
    assert shelf.profile("eastron_sdm630").model == "One register"


GATEWAY = """gateway: park-01
buses:
  - {id: b1, type: modbus_tcp, host: 127.0.0.1}
meters:
  - &first {id: m1, bus: b1, unit: 010, profile: chint_dtsu666, ct_ratio: 200/5, pt_ratio: 10000:100}
  - {<<: *first, id: m2, unit: 0x0B}
groups:
  - {id: main, every: 60s}
"""


def test_what_a_technician_writes_is_taken_as_it_is_meant(tmp_path: Path):
    file = tmp_path / "gateway.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GATEWAY.replace("\n", "\r\n").encode())

    first, second = load(file).meters

    assert (first.unit, first.ct_ratio, first.pt_ratio) == (10, 40, 100)
    assert second == first.model_copy(update={"id": "m2", "unit": 11})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("gateway: !!bool maybe\n", (1, 10)),
        ("gateway: !!timestamp soon\n", (1, 10)),
        ("gateway: !!int ''\n", (1, 10)),
        ("gateway: " + 3000 * "[" + 3000 * "]", (1, 1)),
        ("gateway: " + 3000 * "{a: " + 3000 * "}", (1, 1)),
    ],
    ids=["bool", "timestamp", "int", "lists", "mappings"],
)
def test_what_the_parser_stumbles_over_is_a_mistake_with_a_place(tmp_path: Path, text: str, place: tuple[int, int]):
    file = tmp_path / "gateway.yaml"
    file.write_text(text)

    with pytest.raises(ConfigError) as caught:
        load(file)

    assert place in [(one.line, one.column) for one in caught.value.problems]


def test_what_only_follows_from_a_wrong_entry_is_not_told(tmp_path: Path):
    file = tmp_path / "gateway.yaml"
    wrong = "{id: b1, type: modbus_tcp, host: 127.0.0.1, port: http}"
    file.write_text(GATEWAY.replace("{id: b1, type: modbus_tcp, host: 127.0.0.1}", wrong))

    with pytest.raises(ConfigError) as caught:
        load(file)

    assert [problem.path for problem in caught.value.problems] == ["buses[0].port"]
