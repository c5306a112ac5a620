"""The span that a person asks about: local days, instants with an offset, and what is neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.config import load
from collector.span import span_of
from metering.errors import StopAndFix

EXAMPLE = Path(__file__).parents[3] / "config" / "collector.example.yaml"
MIDNIGHT_MS = 1_781_712_000_000  # 2026-06-18 in Shanghai


@pytest.mark.parametrize("text", ["2026-06-18", "2026-06-18T00:00", "2026-06-17T16:00Z", "2026-06-17T17:00+01:00"])
def test_an_instant_without_an_offset_is_local(text: str) -> None:
    assert span_of(load(EXAMPLE), text, None)[0] == MIDNIGHT_MS


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-06-31", "0001-01-01", "9999-12-31T23:59-12:00"])
def test_what_is_no_instant_is_told(text: str) -> None:
    with pytest.raises(StopAndFix, match="is no instant"):
        span_of(load(EXAMPLE), None, text)
