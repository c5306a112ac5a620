"""Engines for tests: a registry of a few meters, all checks in the order the collector runs them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from collector.checks.check import Check, SparseCheck
from collector.config import ChecksSettings, all_checks
from collector.engine.engine import Engine, Outcome
from collector.engine.fleet import Fleet
from collector.engine.frame import blocks_of
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.tariff.periods import Tariff, load_tariff
from metering.round import Round

ROOT = Path(__file__).parents[2]


def tariffs() -> dict[str, Tariff]:
    return {"illustrative": load_tariff(ROOT / "config" / "tariffs" / "illustrative.yaml")}


def registry(
    meters: Sequence[str],
    *,
    approvals: Sequence[dict[str, object]] = (),
    work_orders: Sequence[dict[str, object]] = (),
    timezone: str = "Asia/Shanghai",
    **meter: object,
) -> Registry:
    ratings = {"site": "park", "contract_kva": 30, "base_current_a": 10, "maximum_current_a": 80} | meter
    settings = RegistrySettings.model_validate(
        {
            "sites": [{"id": "park", "timezone": timezone}],
            "meters": [{"id": name, **ratings} for name in meters],
            "approvals": list(approvals),
            "work_orders": list(work_orders),
        }
    )
    return Registry(settings, "test")


def engine(known: Registry, checks: Sequence[Check | SparseCheck] | None = None) -> Engine:
    return Engine(Fleet(known, tariffs()), all_checks(ChecksSettings()) if checks is None else checks, "test", "1")


def judge(judging: Engine, rounds: Iterable[Round]) -> Outcome:
    """Judge rounds as one commit does."""
    whole = Outcome()
    frames = [pair for block in blocks_of(judging.fleet, list(rounds)) for pair in block.frames()]
    for _, frame in sorted(frames, key=lambda pair: pair[0]):
        outcome = judging.process(frame)
        whole.events += outcome.events
        whole.tables += outcome.tables
        whole.switched += outcome.switched
    return whole
