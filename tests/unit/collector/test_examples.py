"""Every example file is correct as it is shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector import config
from collector.tariff.periods import load_tariff
from edge_agent.config import load as load_gateway

CONFIG = Path(__file__).parents[3] / "config"


def test_the_collector_example_is_correct() -> None:
    assert set(config.load(CONFIG / "collector.example.yaml").registry.meters) == {
        "line-1-master",
        "shop-101",
        "shop-102",
        "workshop",
    }


def test_the_gateway_example_is_correct() -> None:
    load_gateway(CONFIG / "gateway.example.yaml", "en")


@pytest.mark.parametrize("path", sorted((CONFIG / "tariffs").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_shipped_tariff_says_that_it_is_illustrative(path: Path) -> None:
    tariff = load_tariff(path)

    assert tariff.illustrative
    assert tariff.id == path.stem
