"""A registry tells mistakes of single keys and mistakes across keys in one run, at their places in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.registry.registry import load_registry
from metering.config_file import ConfigError

REGISTRY = """version: 1
sites:
  - {id: park-01, timezone: Asia/Shanghai, tariff: illustrative, billing_day: 31}
meters:
  - {id: shop-101, site: park-01, base_current_a: 10}
  - {id: shop-101, site: park-02, base_current_a: ten}
  - {id: shop-103, site: park-02, base_current_a: 10}
approvals:
  - {meter: shop-104, from: 2026-11-10T00:00:00+08:00, to: 2026-11-13T00:00:00+08:00, kva: 160, status: approved}
  - {meter: shop-101, from: 2026-11-13T00:00:00+08:00, to: 2026-11-10T00:00:00+08:00, kva: 160, status: approved}
"""


def test_both_kinds_of_mistakes_are_told_at_their_places(tmp_path: Path) -> None:
    file = tmp_path / "registry.yaml"
    file.write_text(REGISTRY, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_registry(file)

    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (3, "sites[0].billing_day"),
        (6, "meters[1].id"),
        (6, "meters[1].site"),
        (6, "meters[1].base_current_a"),
        (7, "meters[2].site"),
        (9, "approvals[0].meter"),
        (10, "approvals[1].to"),
    ]
