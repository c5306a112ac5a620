"""A folder is a case: a wrong file, and the exact lines a person sees in both languages."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import load
from metering.errors import StopAndFix

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/collector.yaml"))


def test_there_are_cases() -> None:
    assert len(CASES) >= 6


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
def test_every_mistake_is_shown_with_its_place(folder: Path, lang: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    with pytest.raises(StopAndFix) as shown:
        load(Path("collector.yaml"), lang)  # type: ignore[arg-type]

    assert str(shown.value) == (folder / f"expected.{lang}.txt").read_text(encoding="utf-8").rstrip("\n")
